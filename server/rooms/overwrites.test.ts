import * as Y from 'yjs';
import { expect, test } from 'vitest';
import type { Connection } from './connection.ts';
import { loadRoom } from './room.ts';

const OUTPUTS = ['a', 'b', 'c'];
const IDS = [7, 8];
const from = { actor: { id: 'ada' }, mayWrite: true, settle() {} } as unknown as Connection;

/** A room and two pages that hear each other at once. */
async function roomOf() {
  const room = await loadRoom('table/x', {
    ...{ updates: [], lastSeq: 0, outputs: new Set(OUTPUTS) },
    clients: new Map(IDS.map((id) => [id, 'ada']))
  });
  const pages = IDS.map((id) => Object.assign(new Y.Doc(), { clientID: id }));
  const propose = (update: Uint8Array) => room.propose(update, from, { frame: 1, tried: false });
  /** What a page sends of a change, if anything. */
  const does = (page: Y.Doc, change: () => void) => {
    let update: Uint8Array | null = null;
    page.once('update', (bytes: Uint8Array) => (update = bytes));
    page.transact(change);
    if (!update) return;
    propose(update);
    for (const other of pages) if (other !== page) Y.applyUpdate(other, update);
  };
  const ahead = () => {
    const doc = new Y.Doc();
    Y.applyUpdate(doc, room.stateAhead());
    return doc;
  };
  return { room, pages, propose, does, ahead };
}

const contents = (doc: Y.Doc) => [
  doc.getMap('ranks').toJSON(),
  doc.getMap('ratings').toJSON(),
  doc.getText('note').toString()
];

/** The same numbers each time. */
function numbers(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
}

test.each([1, 2, 3, 4, 5])(
  'overwritten or applied one by one, the document is the same (seed %i)',
  async (seed) => {
    const { room, pages, does, ahead } = await roomOf();
    const next = numbers(seed);
    for (let n = 0; n < 600; n++) {
      const page = pages[next(2)]!;
      const [ranks, output] = [page.getMap('ranks'), OUTPUTS[next(3)]!];
      does(page, () => {
        const kind = next(12);
        if (kind === 0) ranks.delete(output);
        else if (kind === 1) page.getText('note').insert(0, 'x');
        else if (kind === 2) for (const one of OUTPUTS) ranks.set(one, next(9));
        else if (kind === 3) page.getMap('ratings').set(`tone/${output}`, 'good');
        else ranks.set(output, next(9));
      });
      if (next(3) === 0 && room.pending()) room.commit(1 + next(room.pending()));
      if (next(60) === 0) expect(contents(ahead())).toEqual(contents(page));
    }
    expect(contents(ahead())).toEqual(contents(pages[0]!));
    if (room.pending()) room.commit(room.pending());
    expect(contents(room.doc)).toEqual(contents(pages[1]!));
    expect(room.vector()).toEqual(Y.encodeStateVector(room.doc));
    room.destroy();
  }
);

test('a value that does not fit the key it overwrites is refused, also where that one is not applied yet', async () => {
  const { pages, propose, does, ahead, room } = await roomOf();
  const [page] = pages;
  const ranks = page!.getMap('ranks');
  for (let n = 0; n < 3; n++) does(page!, () => ranks.set('a', n));
  const before = Y.encodeStateVector(page!);
  ranks.set('a', 'first');
  const update = Y.encodeStateAsUpdate(page!, before);
  expect(() => propose(update)).toThrow('ranks are finite numbers');
  expect(contents(ahead())[0]).toEqual({ a: 2 });
  expect(room.pending()).toBe(3);
  room.destroy();
});
