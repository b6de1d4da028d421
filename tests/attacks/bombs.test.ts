import * as encoding from 'lib0/encoding';
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
  longestSave,
  pageOf,
  pause,
  roomApp,
  sceneOn,
  sent,
  updateBy,
  type Scene
} from './scene.ts';

// Steps 4 and 6 of the door (A17): how long an update takes, and what it would make of the document. Nothing that is
// refused may stand in the log, where it would come back.

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
  expect(await sent(scene, make)).toBe(code);
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
