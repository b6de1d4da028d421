import type { Board, Slot } from './board.svelte.ts';

const FAR_PX = 5;

/** A card on its way, by mouse, pen or finger alike (HTML's own drag and drop knows no fingers). */
export class Drag {
  output = $state<string | null>(null);
  over = $state.raw<Slot | null>(null);
  /** What this hand has just put down: it lies where it was put, and need not slide there. */
  dropped: string | null = null;
  x = $state(0);
  y = $state(0);
  #board: () => Board | null;

  constructor(board: () => Board | null) {
    this.#board = board;
  }

  /** For a handle's `pointerdown`; a press that does not move stays a press. */
  begin(event: PointerEvent, output: string): void {
    const board = this.#board();
    if (!board?.room.ready || event.button !== 0 || !event.isPrimary) return;
    const { clientX, clientY, pointerId } = event;
    const own = (given: PointerEvent) => given.pointerId === pointerId;
    const move = (given: PointerEvent) => {
      if (!own(given)) return;
      if (this.output === null) {
        if (Math.hypot(given.clientX - clientX, given.clientY - clientY) < FAR_PX) return;
        this.output = output;
        board.room.hold(output);
      }
      given.preventDefault();
      [this.x, this.y] = [given.clientX, given.clientY];
      this.over = slotAt(given.clientX, given.clientY, board);
    };
    const end = (given: Event) => {
      if (given instanceof PointerEvent && !own(given)) return;
      if (given instanceof KeyboardEvent && given.key !== 'Escape') return;
      stop();
      const [held, slot] = [this.output, this.over];
      if (held === null) return;
      this.output = this.over = null;
      board.room.hold(null);
      if (given.type !== 'pointerup' || !slot) return;
      this.dropped = held;
      board.drop(held, slot);
    };
    const stop = () => {
      window.removeEventListener('pointermove', move);
      for (const name of ends) window.removeEventListener(name, end);
    };
    window.addEventListener('pointermove', move);
    for (const name of ends) window.addEventListener(name, end);
  }

  isOver(slot: Slot): boolean {
    return JSON.stringify(this.over) === JSON.stringify(slot);
  }
}

const ends = ['pointerup', 'pointercancel', 'keydown', 'blur'] as const;

function slotAt(x: number, y: number, board: Board): Slot | null {
  const element = document.elementFromPoint(x, y)?.closest<HTMLElement>('[data-slot]');
  if (!element) return null;
  const slot = JSON.parse(element.dataset.slot!) as Slot;
  return board.canDrop(slot) ? slot : null;
}
