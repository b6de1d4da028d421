import { m } from '$lib/paraglide/messages.js';
import { numberAtGap, placeOf, rowsOf } from '$lib/domain/places';
import type { LiveRoom } from '$lib/live/room.svelte.ts';
import { letterOf } from '$lib/ui/letters.ts';

/** Where a card can go: onto a row (a tie where it holds others), between two rows, or out of the ranking. */
export type Slot = { row: number } | { gap: number } | 'tray';

/** One ranking on the page: a room's ranks as rows, and every way to move a card. */
export class Board {
  /** What was done last, for those who hear the page. */
  said = $state('');
  readonly outputs: readonly string[];
  readonly room: LiveRoom;

  constructor(room: LiveRoom, outputs: readonly string[]) {
    this.room = room;
    this.outputs = outputs;
  }

  rows = $derived.by(() => rowsOf(this.room.ranks, this.outputs));
  tray = $derived.by(() => this.outputs.filter((output) => this.placeOf(output) === null));
  placed = $derived.by(() => this.outputs.length - this.tray.length);

  placeOf(output: string): number | null {
    return placeOf(this.rows, output);
  }

  canDrop(slot: Slot): boolean {
    return slot === 'tray' || 'row' in slot || numberAtGap(this.rows, slot.gap) !== null;
  }

  drop(output: string, slot: Slot): void {
    const number =
      slot === 'tray' ? null : 'row' in slot ? this.rows[slot.row]!.number : numberAtGap(this.rows, slot.gap);
    if (slot !== 'tray' && number === null) return;
    this.room.rank(output, number);
    this.#say(output);
  }

  /** Puts an output at the place whose key was pressed; the same key again takes it out. */
  toggle(output: string, place: number): void {
    if (place < 1 || place > this.rows.length) return;
    this.drop(output, this.placeOf(output) === place ? 'tray' : { row: place - 1 });
  }

  /**
   * One step up (-1) or down (1). A card that is alone joins the next tier; one that is tied leaves it for a place of
   * its own. Steps pass every place that a drag could reach.
   */
  step(output: string, direction: -1 | 1): void {
    const place = this.placeOf(output);
    if (place === null) return this.drop(output, { row: direction < 0 ? this.rows.length - 1 : 0 });
    const at = place - 1;
    const alone = this.rows[at]!.outputs.length === 1;
    const gap = direction < 0 ? at : at + 1;
    if (!alone && this.canDrop({ gap })) return this.drop(output, { gap });
    const next = at + direction;
    if (next >= 0 && next < this.rows.length) this.drop(output, { row: next });
  }

  undo(): void {
    if (!this.room.undoable) return;
    this.room.undo();
    this.#announce(m.review_said_undone());
  }

  /** Of a text that stands there already nothing would be heard: with a space behind it, it is another one. */
  #announce(text: string): void {
    this.said = this.said === text ? `${text}\u00a0` : text;
  }

  #say(output: string): void {
    const letter = letterOf(this.outputs.indexOf(output));
    const place = this.placeOf(output);
    const tied = place === null ? [] : this.rows[place - 1]!.outputs.filter((other) => other !== output);
    const others = tied.map((other) => letterOf(this.outputs.indexOf(other))).join(', ');
    if (place === null) this.#announce(m.review_said_removed({ letter }));
    else if (tied.length) this.#announce(m.review_said_tied({ letter, place, others }));
    else this.#announce(m.review_said_placed({ letter, place }));
  }
}
