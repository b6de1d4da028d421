const SLIDE_MS = 180;

/** Where the cards on a board are; `slide` moves each, from where it was then to where it is now, so that eyes can follow. */
export function remember(board: HTMLElement): { slide(except: string | null): void } {
  const before = placesIn(board);
  return {
    slide(except) {
      if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
      const after = placesIn(board);
      for (const [output, { card, x, y }] of after) {
        const was = before.get(output);
        if (!was || output === except || (was.x === x && was.y === y)) continue;
        const from = `translate(${was.x - x}px, ${was.y - y}px)`;
        card.animate([{ transform: from }, { transform: 'none' }], {
          duration: SLIDE_MS,
          easing: 'ease-out'
        });
      }
    }
  };
}

/** Relative to the board: a page that scrolled meanwhile moved no card. */
function placesIn(board: HTMLElement): Map<string, { card: HTMLElement; x: number; y: number }> {
  const origin = board.getBoundingClientRect();
  return new Map(
    [...board.querySelectorAll<HTMLElement>('[data-chip]')].map((card) => {
      const { left, top } = card.getBoundingClientRect();
      return [card.dataset.chip!, { card, x: left - origin.left, y: top - origin.top }];
    })
  );
}
