import * as Y from 'yjs';
import { expect, onTestFinished, test, vi } from 'vitest';
import { watchStalls } from '../../tests/attacks/stalls.ts';
import { limits } from '../limits.ts';
import type { Connection } from './connection.ts';
import { loadRoom, type Stored } from './room.ts';

const ONE = 7;
const stored = (updates: Uint8Array[]): Stored => ({
  updates,
  lastSeq: updates.length,
  clients: new Map([[ONE, 'ada']]),
  outputs: new Set(['a', 'b'])
});
const ada = { actor: { id: 'ada' }, mayWrite: true, settle() {}, send() {} } as unknown as Connection;
const untried = { frame: 1, tried: false };

/** The log of a page that made that many edits; `change` makes one. */
function logOf(count: number, change: (doc: Y.Doc, n: number) => void) {
  const doc = new Y.Doc();
  doc.clientID = ONE;
  const updates: Uint8Array[] = [];
  doc.on('update', (update: Uint8Array) => updates.push(update));
  for (let n = 0; n < count; n++) change(doc, n);
  return { doc, updates };
}

/** What the room says to one more rank by the page. */
function edit(doc: Y.Doc, value: number): Uint8Array {
  const before = Y.encodeStateVector(doc);
  doc.getMap('ranks').set(value % 2 ? 'a' : 'b', value);
  return Y.encodeStateAsUpdate(doc, before);
}

test('a room takes edits until its log is as long as it may be', async () => {
  const { doc, updates } = logOf(1, (doc) => doc.getMap('ranks').set('a', 0));
  // The same row many times: nothing new to the document, and bytes of the log all the same.
  const rows = Array<Uint8Array>(Math.floor(limits.rooms.log_bytes_max / updates[0]!.length) - 2).fill(
    updates[0]!
  );
  const room = await loadRoom('table/x', stored(rows));
  expect(room.propose(edit(doc, 1), ada, untried).verdict).toBe('new');
  const more = () => {
    for (let n = 2; n < 9; n++) room.propose(edit(doc, n), ada, untried);
  };
  expect(more).toThrow('This room holds as many edits as it may.');
  room.destroy();
});

test('a room takes edits until its document is as large as it may be, and is loaded without a stall', async () => {
  const two = (doc: Y.Doc, n: number) => doc.getMap('ranks').set(n % 2 ? 'a' : 'b', n);
  const { doc, updates } = logOf(limits.rooms.structs_max - 3, two);
  const stalls = watchStalls();
  const room = await loadRoom('table/x', stored(updates));
  await new Promise((resolve) => setTimeout(resolve, 20));
  stalls.stop();
  expect(stalls.longest()).toBeLessThan(300);
  expect(room.propose(edit(doc, 1), ada, untried).verdict).toBe('new');
  const more = () => {
    for (let n = 2; n < 9; n++) room.propose(edit(doc, n), ada, untried);
  };
  expect(more).toThrow('This room holds as many edits as it may.');
  room.destroy();
});

test('what might take long is to be tried elsewhere first, what has been is taken', async () => {
  const { doc, updates } = logOf(3_000, (doc, n) => doc.getText('note').insert(0, n % 2 ? 'x' : 'y'));
  const room = await loadRoom('table/x', stored(updates));
  const before = Y.encodeStateVector(doc);
  for (let n = 0; n < 200; n++) doc.getText('note').insert(0, 'z');
  const update = Y.encodeStateAsUpdate(doc, before);
  expect(room.propose(update, ada, untried)).toEqual({ verdict: 'heavy' });
  expect(room.pending()).toBe(0);
  expect(room.propose(update, ada, { frame: 1, tried: true }).verdict).toBe('new');
  room.destroy();
});

test('what was committed together reaches the others in one frame, and not who did all of it', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const { doc } = logOf(0, () => {});
  const room = await loadRoom('table/x', stored([]));
  const told: [string, boolean, boolean][] = [];
  const page = (name: string) =>
    ({
      ...ada,
      tell: (update: unknown, saved: boolean) => told.push([name, update !== null, saved])
    }) as unknown as Connection;
  const [author, other] = [page('ada'), page('bo')];
  room.connections.add(author).add(other);
  // In a full room frames cost the most, and are the fewest.
  while (room.connections.size < limits.rooms.sockets_per_room_max)
    room.connections.add({ ...ada, tell() {} } as unknown as Connection);
  for (let n = 0; n < 3; n++) room.propose(edit(doc, n), author, untried);
  room.commit(3);
  expect([room.seq, room.doc.getMap('ranks').get('b')]).toEqual([3, 2]);
  expect(told.splice(0)).toEqual([
    ['ada', false, true],
    ['bo', true, false]
  ]);
  // Right after that it waits a moment for more.
  for (const [n, from] of [author, other, author].entries()) {
    room.propose(edit(doc, 10 + n), from, untried);
    room.commit(1);
  }
  expect(told).toEqual([]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told).toEqual([
    ['ada', true, true],
    ['bo', true, true]
  ]);
  room.destroy();
});

test('a deletion that is still in line, sent again by a page that came back, is saved with it and not before', async () => {
  const { doc, updates } = logOf(1, (doc) => doc.getMap('ranks').set('a', 1));
  const room = await loadRoom('table/x', stored(updates));
  const before = Y.encodeStateVector(doc);
  doc.getMap('ranks').delete('a');
  const deletion = Y.encodeStateAsUpdate(doc, before);
  const settled: string[] = [];
  const page = (name: string) => ({ ...ada, settle: () => settled.push(name) }) as unknown as Connection;
  const [gone, back] = [page('gone'), page('back')];
  expect(room.propose(deletion, gone, untried).verdict).toBe('new');
  expect(room.propose(deletion, back, untried).verdict).toBe('in line');
  expect(settled).toEqual([]);
  room.commit(1);
  expect(settled).toEqual(['gone', 'back']);
  expect(room.propose(deletion, back, untried).verdict).toBe('nothing');
  room.destroy();
});

test('what somebody did who left before it committed reaches the one who is there', async () => {
  const { doc } = logOf(0, () => {});
  const room = await loadRoom('table/x', stored([]));
  let told = 0;
  const author = { ...ada } as unknown as Connection;
  room.connections.add({ ...ada, tell: (update: unknown) => update && told++ } as unknown as Connection);
  room.propose(edit(doc, 1), author, untried);
  room.commit(1);
  expect(told).toBe(1);
  room.destroy();
});
