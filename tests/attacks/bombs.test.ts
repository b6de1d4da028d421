import * as encoding from 'lib0/encoding';
import pg from 'pg';
import * as Y from 'yjs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { limits } from '../../server/limits.ts';
import {
  attackerOf,
  bytes,
  entry,
  forged,
  gap,
  letter,
  logged,
  longestSave,
  pageOf,
  pause,
  roomApp,
  sceneOn,
  updateBy,
  type Page,
  type Scene
} from './scene.ts';

// Steps 4 to 7 of the door (A17): what is in an update, whose it is, what it would make of the document, and that
// nobody hears of it before it is on disk. Nothing that is refused may stand in the log, where it would come back.

let t: Scene['t'];
let scene: Scene;
let first: string;
beforeAll(async () => {
  t = await roomApp();
});
beforeEach(async () => {
  scene = await sceneOn(t);
  first = scene.task.outputs[0]!;
});
afterAll(() => t.close());

const STALL_MS_MAX = 300;

/** More client ids for the attacker, as a page gets them for work without a connection. */
async function lease(count: number): Promise<number[]> {
  const body = { room: scene.table, count };
  const { body: leased } = await t.call('POST', '/api/v1/rooms/clients', { token: scene.eve.token, body });
  return leased.ids.sort((a: number, b: number) => a - b);
}

/** What becomes of an attacker who sends this; an honest page beside them saves, and nothing is logged but its edits. */
async function sent(make: (client: number) => Uint8Array | Promise<Uint8Array>): Promise<number> {
  const before = (await logged(scene)).length;
  const honest = await pageOf(scene, scene.ada);
  const attacker = await attackerOf(scene);
  const update = await make(await attacker.clientId());
  attacker.update(update);
  const code = await attacker.closed;
  honest.ranks.set(first, 5);
  await honest.saved();
  expect((await logged(scene)).length).toBe(before + 1);
  honest.destroy();
  return code;
}

test('E6: sixteen bytes under a victim’s client id silence nobody', async () => {
  const [a, b] = [await pageOf(scene, scene.ada), await pageOf(scene, scene.eve)];
  a.ranks.set(first, 1);
  await a.saved();
  const attacker = await attackerOf(scene);
  const next = Y.getState(a.doc.store, a.clientId!);
  const forgery = forged([{ client: a.clientId!, clock: next, count: 1, struct: gap(2 ** 40) }]);
  expect(forgery.length).toBeLessThanOrEqual(18);
  attacker.update(forgery);
  expect(await attacker.closed).toBe(4403);

  // Short enough to pass every limit on lengths: only whose id it is keeps it out.
  const second = await attackerOf(scene);
  second.update(forged([{ client: a.clientId!, clock: next, count: 1, struct: gap(5) }]));
  expect(await second.closed).toBe(4403);
  a.ranks.set(first, 2);
  await a.saved();
  await expect.poll(() => b.ranks.get(first)).toBe(2);
  expect((await logged(scene)).length).toBe(2);
  a.destroy();
  b.destroy();
});

test('ids of somebody else, of nobody, and of another room are not one’s own', async () => {
  const other = await sceneOn(t);
  const elsewhere = await attackerOf(other);
  const ids = [await elsewhere.clientId(), 4_000_000_001];
  for (const id of ids)
    expect(await sent(() => updateBy(id, (doc) => doc.getMap('ranks').set(first, 9)))).toBe(4403);
  elsewhere.socket.terminate();
});

test('what an update repeats of others’ edits goes no further, also where it says something else', async () => {
  const [a, b] = [await pageOf(scene, scene.ada), await pageOf(scene, scene.ada)];
  a.ranks.set(first, 1);
  await a.saved();
  const attacker = await attackerOf(scene);
  const mine = await attacker.clientId();
  const lie = entry('ranks', first, (encoder) => encoding.writeAny(encoder, 99));
  const truth = entry('ranks', scene.task.outputs[1]!, (encoder) => encoding.writeAny(encoder, 3));
  attacker.update(
    forged([
      { client: Math.max(a.clientId!, mine), count: 1, struct: a.clientId! > mine ? lie : truth },
      { client: Math.min(a.clientId!, mine), count: 1, struct: a.clientId! > mine ? truth : lie }
    ])
  );
  await expect.poll(() => b.ranks.toJSON()).toEqual({ [first]: 1, [scene.task.outputs[1]!]: 3 });
  const rows = await logged(scene);
  expect(rows.map((row) => [...Y.parseUpdateMeta(row).to.keys()])).toEqual([[a.clientId], [mine]]);
  // Read without what came before, the row would show the lie, had it been kept.
  const folded = new Y.Doc();
  for (const row of rows.reverse()) Y.applyUpdate(folded, row);
  expect(folded.getMap('ranks').get(first)).toBe(1);
  for (const one of [a, b]) one.destroy();
  attacker.socket.terminate();
});

const any = (write: (encoder: encoding.Encoder) => void) => (client: number) =>
  forged([{ client, count: 1, struct: entry('ranks', first, write) }]);
const deep = (encoder: encoding.Encoder) => {
  for (let depth = 0; depth < 100_000; depth++) {
    encoding.writeUint8(encoder, 117);
    encoding.writeVarUint(encoder, 1);
  }
  encoding.writeUint8(encoder, 126);
};

test.each<[string, number, (client: number) => Uint8Array]>([
  [
    'half an update',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ranks').set(first, 1)).slice(0, 9)
  ],
  [
    '2^53 structs, none of them there',
    4400,
    () =>
      bytes((e) => {
        encoding.writeVarUint(e, 1);
        encoding.writeVarUint(e, Number.MAX_SAFE_INTEGER);
      })
  ],
  ['a list a hundred thousand deep', 4400, any(deep)],
  [
    'a list that says it has 2^50 parts',
    4400,
    any((e) => {
      encoding.writeUint8(e, 117);
      encoding.writeVarUint(e, 2 ** 50);
    })
  ],
  [
    'a client that stands twice',
    4400,
    (client) => forged([1, 2].map(() => ({ client, count: 1, struct: letter('note') })))
  ],
  ['a clock beyond reach', 4400, (client) => forged([{ client, clock: 2 ** 40, count: 1, struct: gap(1) }])],
  ['a stretch of 2^40', 4400, (client) => forged([{ client, count: 1, struct: gap(2 ** 40) }])],
  [
    'a stretch over the limit',
    4413,
    (client) => forged([{ client, count: 1, struct: gap(limits.rooms.update_clocks_max + 1) }])
  ],
  [
    'a hole',
    4400,
    (client) =>
      forged([
        {
          client,
          count: 2,
          struct: (e) => {
            encoding.writeUint8(e, 10);
            encoding.writeVarUint(e, 1);
          }
        }
      ])
  ],
  [
    'deletions that overlap',
    4400,
    (client) =>
      forged(
        [{ client, count: 3, struct: letter('note') }],
        [
          {
            client,
            ranges: [
              [0, 3],
              [1, 1]
            ]
          }
        ]
      )
  ],
  ['a deletion beyond reach', 4400, (client) => forged([], [{ client, ranges: [[0, 2 ** 45]] }])],
  ['a part of its own', 4400, (client) => updateBy(client, (doc) => doc.getMap('stolen').set(first, 1))],
  [
    'a part called like what every object has',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('__proto__').set(first, 1))
  ],
  [
    'a rank of something else',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ranks').set('elsewhere', 1))
  ],
  [
    'a rank that is a text',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ranks').set(first, 'high'))
  ],
  [
    'a rank that is no number',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ranks').set(first, NaN))
  ],
  [
    'a rank without an end',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ranks').set(first, Infinity))
  ],
  [
    'a list in place of the ranks',
    4400,
    (client) => updateBy(client, (doc) => doc.getArray('ranks').push([1]))
  ],
  ['keys in the note', 4400, (client) => updateBy(client, (doc) => doc.getMap('note').set('x', 1))],
  [
    'a map within the map',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ranks').set(first, new Y.Map()))
  ],
  [
    'a rating of an unknown shape',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ratings').set(`a/${first}/b`, 1))
  ],
  [
    'a long value',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ratings').set(`a/${first}`, 'x'.repeat(65)))
  ],
  [
    'a remark without an id of its own',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('spans').set('ranks', '{}'))
  ],
  [
    'a remark over the limit',
    4400,
    (client) =>
      updateBy(client, (doc) =>
        doc.getMap('spans').set('a1b2c3d4', 'x'.repeat(limits.rooms.span_length_max + 1))
      )
  ],
  [
    'an edit of two outputs',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('editing').set('second', first))
  ],
  [
    'an edit over the limit',
    4413,
    (client) =>
      updateBy(client, (doc) =>
        doc.getText('edited').insert(0, 'x'.repeat(limits.rooms.edited_length_max + 1))
      )
  ],
  [
    'bold text',
    4400,
    (client) => updateBy(client, (doc) => doc.getText('note').insert(0, 'x', { bold: true }))
  ],
  [
    'a picture',
    4400,
    (client) => updateBy(client, (doc) => doc.getText('note').insertEmbed(0, { src: 'x' }))
  ],
  ['bytes', 4400, (client) => updateBy(client, (doc) => doc.getMap('ranks').set(first, new Uint8Array(9)))],
  [
    'a document within',
    4400,
    (client) => updateBy(client, (doc) => doc.getMap('ranks').set(first, new Y.Doc()))
  ],
  [
    'a note over the limit',
    4413,
    (client) =>
      updateBy(client, (doc) => doc.getText('note').insert(0, 'x'.repeat(limits.rooms.note_length_max + 1)))
  ],
  [
    'a thousand keys too many',
    4413,
    (client) =>
      updateBy(client, (doc) => {
        for (let n = 0; n <= limits.rooms.keys_max; n++) doc.getMap('ratings').set(`c${n}/${first}`, 1);
      })
  ]
])('%s is refused and leaves no trace', async (_, code, make) => {
  expect(await sent(make)).toBe(code);
});

test('a quarter megabyte of anything is read in no time', async () => {
  const shapes: ((client: number) => Uint8Array)[] = [
    (client) => forged([{ client, count: 120_000, struct: gap(1) }]),
    (client) =>
      forged([{ client, count: 20_000, struct: letter('note') }], [{ client: client ^ 1, ranges: [] }]),
    (client) => forged([], [{ client, ranges: Array.from({ length: 50_000 }, (_, n) => [n * 2, 1]) }]),
    any(deep)
  ];
  const honest = await pageOf(scene, scene.ada);
  for (const make of shapes) {
    const attacker = await attackerOf(scene);
    const update = make(await attacker.clientId());
    const longest = await longestSave(honest, first, async () => {
      attacker.update(update);
      await Promise.race([attacker.closed, pause(500)]);
    });
    expect(longest).toBeLessThan(STALL_MS_MAX);
    attacker.socket.terminate();
  }
  honest.destroy();
});

test('an update that would take long to apply is refused after a trial that holds nobody up', async () => {
  const honest = await pageOf(scene, scene.ada);
  const [low, high] = (await lease(2)) as [number, number];
  const attacker = await attackerOf(scene);
  // Each letter of the higher id looks for its place among all of the lower one: the time grows with the square.
  const letters = (client: number) => forged([{ client, count: 9_000, struct: letter('note') }]);
  const longest = await longestSave(honest, first, async () => {
    attacker.update(letters(low));
    attacker.update(letters(high));
    await attacker.closed;
  });
  expect(await attacker.closed).toBe(4400);
  expect(longest).toBeLessThan(STALL_MS_MAX);
  honest.destroy();
});

test.each<[string, (ranks: Page['ranks']) => void, number | undefined]>([
  ['an edit', (ranks) => ranks.set(first, 2), 2],
  // It moves no clock: only its frame tells.
  ['a deletion', (ranks) => ranks.delete(first), undefined]
])('%s is neither called saved nor shown to anybody before it is on disk', async (_, change, after) => {
  const [a, b] = [await pageOf(scene, scene.ada), await pageOf(scene, scene.eve)];
  a.ranks.set(first, 1);
  await a.saved();
  await expect.poll(() => b.ranks.toJSON()).toEqual({ [first]: 1 });
  const release = await holdLog();
  change(a.ranks);
  let saved = false;
  void a.saved().then(() => (saved = true));
  await pause(400);
  expect([saved, b.ranks.toJSON(), (await logged(scene)).length]).toEqual([false, { [first]: 1 }, 1]);
  await release();
  await a.saved();
  await expect.poll(() => b.ranks.get(first)).toBe(after);
  a.destroy();
  b.destroy();
});

test('an edit whose commit fails is told to nobody, and the page delivers it again', async () => {
  const [a, b] = [await pageOf(scene, scene.ada), await pageOf(scene, scene.eve)];
  await Promise.all([a.saved(), b.saved()]);
  await t.sql(
    "alter table room_log add constraint full_disk check (room <> '" + scene.table + "') not valid"
  );
  a.ranks.set(first, 1);
  await pause(300);
  expect([b.ranks.toJSON(), await logged(scene)]).toEqual([{}, []]);
  await t.sql('alter table room_log drop constraint full_disk');
  await expect.poll(() => b.ranks.toJSON(), { timeout: 5_000 }).toEqual({ [first]: 1 });
  await a.saved();
  expect((await logged(scene)).length).toBe(1);
  a.destroy();
  b.destroy();
});

/** Keeps everybody from writing to the log, as a slow disk would; the answer lets go. */
async function holdLog(): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: t.config.databaseUrl! });
  await client.connect();
  await client.query('begin; lock table room_log in exclusive mode');
  return async () => {
    await client.query('rollback');
    await client.end();
  };
}
