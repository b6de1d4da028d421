import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { logged, pageOf, pause, roomApp, sceneOn, type Page, type Scene } from './scene.ts';

// Step 7 of the door: nobody hears of an edit before it is on disk.

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
