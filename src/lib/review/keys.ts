import { isTyping, plain, shortcuts, withCommand } from '$lib/ui/keyboard.svelte.ts';
import { toasts } from '$lib/ui/toasts.svelte.ts';

export interface Commands {
  place(place: number): void;
  remove(): void;
  select(step: -1 | 1): void;
  step(direction: -1 | 1): void;
  undo(): void;
  switchBoard(): void;
  guidelines(): void;
  mark(): void;
  submit(): void;
  skip(): void;
  allBad(): void;
  cannotJudge(): void;
  next(): void;
  advance(): void;
  edit(): void;
  remark(): void;
  discard(): void;
}

/** What a key means on the review page; null where it means nothing there. */
export function commandOf(event: KeyboardEvent): ((on: Commands) => void) | null {
  if (document.querySelector('dialog[open]')) return null;
  // Also out of the comment that was just written.
  if (event.key === 'Enter' && withCommand(event) && !event.repeat) return (on) => on.submit();
  if (isTyping(event)) return null;
  if (event.key.toLowerCase() === 'z' && withCommand(event) && !event.shiftKey)
    // The bar at the foot offers to take back something else; it goes first.
    return toasts.all.at(-1)?.undo ? null : (on) => on.undo();
  if (event.altKey && !event.ctrlKey && !event.metaKey) {
    if (event.key === 'ArrowUp') return (on) => on.step(-1);
    if (event.key === 'ArrowDown') return (on) => on.step(1);
  }
  if (!shortcuts.single || !plain(event) || event.repeat) return null;
  if (/^[1-9]$/.test(event.key)) return (on) => on.place(Number(event.key));
  return byKey[event.key.toLowerCase()] ?? null;
}

const byKey: Record<string, (on: Commands) => void> = {
  '0': (on) => on.remove(),
  backspace: (on) => on.remove(),
  // To the left is on in a page that is read from the right.
  arrowleft: (on) => on.select(document.dir === 'rtl' ? 1 : -1),
  arrowright: (on) => on.select(document.dir === 'rtl' ? -1 : 1),
  t: (on) => on.switchBoard(),
  g: (on) => on.guidelines(),
  v: (on) => on.mark(),
  s: (on) => on.skip(),
  x: (on) => on.allBad(),
  c: (on) => on.cannotJudge(),
  n: (on) => on.next(),
  a: (on) => on.advance(),
  e: (on) => on.edit(),
  m: (on) => on.remark(),
  d: (on) => on.discard()
};
