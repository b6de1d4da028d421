import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Task } from '#wire/task.ts';
import { testApp, type TestApp } from '../testing-app.ts';
import { recount, tallies } from './tally.ts';

let t: TestApp;
let db: TestApp['db'];
beforeAll(async () => {
  t = await testApp();
  ({ db } = t);
});
afterAll(() => t.close());

/** A blind project with that many tasks, and two people who judge in it. */
async function setUp(tasks: number, overlap = 1) {
  const project = await t.project({ mode: 'blind', overlap });
  await t.importRows(
    project,
    Array.from({ length: tasks }, (_, n) => ({ prompt: `p${n}`, outputs: ['a', 'b'] }))
  );
  const [ada, bo] = [await t.member(project, 'reviewer', 'Ada'), await t.member(project, 'reviewer', 'Bo')];
  const next = async ({ token }: { token: string }, after?: Task): Promise<Task> => {
    const query = after ? `?after=${after.id}` : '';
    return (await t.call('POST', `/api/v1/projects/${project}/tasks/next${query}`, { token })).body;
  };
  const giveBack = async ({ token }: { token: string }, { id }: Task) =>
    (await t.call('DELETE', `/api/v1/tasks/${id}/lease`, { token })).status;
  return { project, ada, bo, next, giveBack };
}

test('the task after the one at hand is handed out ahead, once, and is the next', async () => {
  const { ada, bo, next } = await setUp(4);
  const first = await next(ada);
  const second = await next(ada, first);
  expect([first.number, second.number]).toEqual([1, 2]);
  expect((await next(ada, first)).id).toBe(second.id);
  expect((await next(ada)).id).toBe(first.id);
  expect((await next(bo)).number).toBe(3);
  const tiers = [[first.outputs[0]!.id]];
  await t.call('PUT', `/api/v1/tasks/${first.id}/ranking`, { token: ada.token, body: { tiers } });
  expect((await next(ada)).id).toBe(second.id);
});

test('what was handed out ahead and is given back is somebody else’s next; what was judged or skipped stays as it is', async () => {
  const { ada, bo, next, giveBack } = await setUp(2);
  const first = await next(ada);
  const second = await next(ada, first);
  expect(await next(bo)).toBeNull();
  expect(await giveBack(bo, second)).toBe(204);
  expect(await next(bo)).toBeNull();
  expect(await giveBack(ada, second)).toBe(204);
  expect((await next(bo)).id).toBe(second.id);

  const tiers = [[first.outputs[0]!.id]];
  await t.call('PUT', `/api/v1/tasks/${first.id}/ranking`, { token: ada.token, body: { tiers } });
  await giveBack(ada, first);
  expect((await t.call('GET', `/api/v1/tasks/${first.id}`, { token: ada.token })).body.my_version).toBe(1);
});

const submit = ({ token }: { token: string }, task: Task) =>
  t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token, body: { tiers: [[task.outputs[0]!.id]] } });

test('tasks that are taken along stay their person’s for hours, are nobody else’s, and can be given back', async () => {
  const { project, ada, bo, next } = await setUp(5);
  const along = (who: { token: string }, count: number) =>
    t.call('POST', `/api/v1/projects/${project}/tasks/along`, { token: who.token, body: { count } });
  const first = await next(ada);
  const taken = (await along(ada, 3)).body as { items: Task[]; until: string };
  expect(taken.items.map(({ number }) => number)).toEqual([1, 2, 3]);
  const hours = (Date.parse(taken.until) - Date.now()) / 3_600_000;
  expect(hours).toBeGreaterThan(11.9);
  // Coming back to one of them does not shorten its time.
  expect((await next(ada, first)).number).toBe(2);
  const { rows } = await db.execute<{ minutes: number }>(sql`
    select extract(epoch from min(expires_at) - now()) / 60 as minutes from lease where project_id = ${project} and number <= 3`);
  expect(Number(rows[0]!.minutes)).toBeGreaterThan(11.9 * 60);
  expect((await along(bo, 50)).body.items.map(({ number }: Task) => number)).toEqual([4, 5]);
  const body = { tasks: taken.items.map(({ id }) => id) };
  await submit(ada, first);
  expect(
    (await t.call('DELETE', `/api/v1/projects/${project}/tasks/along`, { token: ada.token, body })).status
  ).toBe(204);
  expect((await along(bo, 50)).body.items.map(({ number }: Task) => number)).toEqual([4, 5, 2, 3]);
  expect((await along(bo, 51)).status).toBe(422);
});

test('who was handed a task and comes late is heard, though others have filled it; who gave it back is not', async () => {
  const { project, ada, bo, next, giveBack } = await setUp(2);
  const [first, second] = [await next(ada), await next(ada, await next(ada))];
  await db.execute(sql`update lease set expires_at = now() where project_id = ${project}`);
  await giveBack(ada, second);
  for (const task of [first, second]) expect((await submit(bo, task)).status).toBe(200);
  const late = await submit(ada, first);
  expect(late.body).toMatchObject({ version: 1, after_reveal: true });
  expect((await submit(ada, second)).body.code).toBe('overlap_reached');
  // One more than was asked for counts for no other task.
  expect(await tallies(db, project)).toEqual(await recount(db, project));
  expect((await tallies(db, project))[0]).toMatchObject({
    wanted: 2,
    ranked: 2,
    judgements: 3
  });
});
