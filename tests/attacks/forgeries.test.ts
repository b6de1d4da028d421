import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  attackerOf,
  entry,
  forged,
  gap,
  logged,
  pageOf,
  roomApp,
  sceneOn,
  sent,
  updateBy,
  type Scene
} from './scene.ts';

// Step 5 of the door (A17, E6): whose the edits of an update are.

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
    expect(await sent(scene, () => updateBy(id, (doc) => doc.getMap('ranks').set(first, 9)))).toBe(4403);
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
