import * as Y from 'yjs';
import { tiersFromRanks } from '#domain/tiers.ts';
import type { Ratings } from '#wire/ranking.ts';
import { limits } from '../limits.ts';

export interface Folded {
  ranks: Record<string, number>;
  ratings: Ratings;
  note: string;
}

const ROOTS = ['ranks', 'ratings', 'note'];
const CRITERION = /^[a-z][a-z0-9_]{0,39}$/;

/** A document keeps no history of its own: the log has it. */
export function newDocument(...updates: Uint8Array[]): Y.Doc {
  const doc = new Y.Doc();
  doc.transact(() => {
    for (const update of updates) Y.applyUpdate(doc, update);
  });
  return doc;
}

/** What is wrong with a document about these outputs, in one sentence; null where nothing is. */
export function faultInShape(doc: Y.Doc, outputs: ReadonlySet<string>): string | null {
  const unknown = [...doc.share.keys()].find((name) => !ROOTS.includes(name));
  if (unknown !== undefined) return 'The document has a part that the house does not know.';
  const ranks = doc.getMap('ranks');
  const ratings = doc.getMap('ratings');
  const note = doc.getText('note');
  if (ranks._start || ratings._start || note._map.size) return 'A part of the document is of the wrong kind.';
  // Removed keys count too: they stay in the document.
  for (const key of ranks._map.keys())
    if (!outputs.has(key)) return 'ranks names something that is not an output of this task.';
  for (const value of ranks.values())
    if (typeof value !== 'number' || !Number.isFinite(value)) return 'A rank is not a finite number.';
  for (const key of ratings._map.keys()) {
    const [criterion, output, ...rest] = key.split('/');
    if (!CRITERION.test(criterion!) || !outputs.has(output ?? '') || rest.length)
      return 'ratings has a key that is not criterion/output.';
  }
  for (const value of ratings.values())
    if (!['number', 'string', 'boolean'].includes(typeof value)) return 'A rating is not a plain value.';
  return null;
}

export function noteTooLong(doc: Y.Doc): boolean {
  return doc.getText('note').length > limits.rooms.note_length_max;
}

export function fold(doc: Y.Doc): Folded {
  return {
    ranks: doc.getMap('ranks').toJSON(),
    ratings: doc.getMap('ratings').toJSON(),
    note: doc.getText('note').toString()
  };
}

/** Makes the document say what is given, touching only what differs: open pages keep their places. */
export function write(doc: Y.Doc, wanted: Folded): void {
  doc.transact(() => {
    const before = fold(doc);
    const sameOrder =
      JSON.stringify(tiersFromRanks(before.ranks)) === JSON.stringify(tiersFromRanks(wanted.ranks));
    if (!sameOrder) writeMap(doc.getMap('ranks'), wanted.ranks);
    writeMap(doc.getMap('ratings'), wanted.ratings);
    writeText(doc.getText('note'), before.note, wanted.note);
  });
}

function writeMap(map: Y.Map<unknown>, wanted: Record<string, unknown>): void {
  for (const key of [...map.keys()]) if (!(key in wanted)) map.delete(key);
  for (const [key, value] of Object.entries(wanted)) if (map.get(key) !== value) map.set(key, value);
}

function writeText(text: Y.Text, before: string, wanted: string): void {
  if (before === wanted) return;
  let start = 0;
  while (start < before.length && before[start] === wanted[start]) start++;
  let end = 0;
  const most = Math.min(before.length, wanted.length) - start;
  while (end < most && before[before.length - 1 - end] === wanted[wanted.length - 1 - end]) end++;
  text.delete(start, before.length - start - end);
  text.insert(start, wanted.slice(start, wanted.length - end));
}
