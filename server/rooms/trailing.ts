import * as Y from 'yjs';
import { limits } from '../limits.ts';

/** A document that is brought up to date when it is looked at: updates applied together take a third of the time. */
export interface Trailing {
  /** As far as it has been brought. */
  readonly doc: Y.Doc;
  /** How many updates it does not have yet. */
  readonly behind: number;
  now(): Y.Doc;
  /** `steps`: of a scan that applying it takes at most. */
  add(update: Uint8Array, steps: number): void;
}

/** Enough that applying them together pays; where that would take long, fewer are. */
export const BEHIND_MAX = 256;
const BYTES_KEPT_MAX = 64 * 1024;

/** The updates fit the document: each has been tried, or is known to fit by what it says. */
export function createTrailing(doc: Y.Doc, caughtUp = () => {}): Trailing {
  /** One after the other: as objects of their own they would grow old here, and a busy server would collect them dearly. */
  let bytes = new Uint8Array(0);
  let ends: number[] = [];
  let stepsBehind = 0;

  function now(): Y.Doc {
    if (!ends.length) return doc;
    // A document takes numbers and text from them, and holds on to none.
    applyAll(
      doc,
      ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end))
    );
    ends = [];
    stepsBehind = 0;
    if (bytes.length > BYTES_KEPT_MAX) bytes = new Uint8Array(0);
    caughtUp();
    return doc;
  }

  function keep(update: Uint8Array): void {
    const from = ends.at(-1) ?? 0;
    const end = from + update.length;
    if (end > bytes.length) {
      const wider = new Uint8Array(2 * end);
      wider.set(bytes.subarray(0, from));
      bytes = wider;
    }
    bytes.set(update, from);
    ends.push(end);
  }

  return {
    doc,
    get behind() {
      return ends.length;
    },
    now,
    add(update, steps) {
      keep(update);
      stepsBehind += steps;
      if (ends.length >= BEHIND_MAX || stepsBehind > limits.rooms.steps_untried_max) now();
    }
  };
}

export function applyAll(doc: Y.Doc, updates: Uint8Array[]): void {
  doc.transact(() => {
    for (const update of updates) Y.applyUpdate(doc, update);
  });
}
