import * as Y from 'yjs';
import { tiersFromRanks } from '#domain/tiers.ts';
import type { Ratings } from '#wire/ranking.ts';
import { limits } from '../limits.ts';
import { malformed, tooLarge } from './refusal.ts';
import { PARTS, type Part } from './shapes.ts';

export interface Folded {
  ranks: Record<string, number>;
  ratings: Ratings;
  note: string;
}

/** A document keeps no history of its own: the log has it. */
export function newDocument(...updates: Uint8Array[]): Y.Doc {
  const doc = new Y.Doc();
  // Parts are of their kind from the start, so that what an update changes is told of these.
  for (const [name, { kind }] of Object.entries(PARTS))
    if (kind === 'map') doc.getMap(name);
    else doc.getText(name);
  doc.transact(() => {
    for (const update of updates) Y.applyUpdate(doc, update);
  });
  return doc;
}

/** Keys that a transaction touched, by part. */
export type Changed = ReadonlyMap<unknown, ReadonlySet<string | null>>;

/** Throws a `Refusal` for a document about these outputs that is no more as `PARTS` says after that change. */
export function checkShape(doc: Y.Doc, outputs: ReadonlySet<string>, changed: Changed): void {
  for (const name of doc.share.keys())
    if (!Object.hasOwn(PARTS, name)) throw malformed('The document has a part that the house does not know.');
  for (const [name, part] of Object.entries(PARTS)) {
    if (part.kind === 'map') checkMap(doc.getMap(name), part, outputs, changed);
    else checkText(doc.getText(name), name, part);
  }
}

function checkMap(
  map: Y.Map<unknown>,
  part: Part & { kind: 'map' },
  outputs: ReadonlySet<string>,
  changed: Changed
): void {
  if (map._start) throw malformed('A part of the document is of the wrong kind.');
  if (map._map.size > limits.rooms.keys_max) throw tooLarge('A part of the document has too many keys.');
  for (const key of changed.get(map) ?? []) {
    // Only lists and texts have changes without a key.
    if (key === null || !part.key(key, outputs)) throw malformed(`The document's ${part.says}`);
    if (map.has(key) && !part.value(map.get(key))) throw malformed(`The document's ${part.says}`);
  }
}

function checkText(text: Y.Text, name: string, part: Part & { kind: 'text' }): void {
  if (text._map.size) throw malformed('A part of the document is of the wrong kind.');
  if (text.length > part.length_max)
    throw tooLarge(`The ${name} is longer than ${part.length_max} characters.`);
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
