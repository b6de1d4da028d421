import { afterAll, beforeAll, expect, test } from 'vitest';
import { limits } from '../limits.ts';
import { roomApp, type RoomApp } from '../rooms/testing-room.ts';

let t: RoomApp;
beforeAll(async () => {
  t = await roomApp();
});
afterAll(() => t.close());

async function setUp(overlap = 2) {
  const project = await t.project({ mode: 'blind', overlap });
  const ada = await t.member(project, 'reviewer', 'Ada');
  const task = await t.task(project, 3);
  const [a, b] = task.outputs as [string, string];
  const at = `/api/v1/tasks/${task.id}`;
  const put = (tiers: string[][], { token } = ada) =>
    t.call('PUT', `${at}/ranking`, { token, body: { tiers } });
  const undo = ({ token } = ada) => t.call('POST', `${at}/ranking/undo`, { token });
  const read = async () => (await t.call('GET', at, { token: ada.token })).body;
  const pairs = async () => (await t.call('GET', `/api/v1/projects/${project}/pairs`)).body.items.length;
  return { project, ada, task, a, b, put, undo, read, pairs };
}

test('the only submission taken back leaves the task as it was: no rater, no pair, and next for this person', async () => {
  const { project, ada, task, a, b, put, undo, read, pairs } = await setUp();
  await t.task(project, 3);
  await put([[a], [b]]);
  expect(await pairs()).toBe(1);
  const undone = await undo();
  expect(undone.body).toMatchObject({ verdict: 'withdrawn', version: 2, undoes: 1, tiers: [] });
  expect(await read()).toMatchObject({ rankings: 0, my_version: 0 });
  expect(await pairs()).toBe(0);
  const next = await t.call('POST', `/api/v1/projects/${project}/tasks/next`, { token: ada.token });
  expect(next.body.id).toBe(task.id);
  const overview = await t.call('GET', `/api/v1/projects/${project}/overview`, { token: ada.token });
  expect(overview.body).toMatchObject({ rankings: 0, tasks: { done: 0, todo: 2 } });

  expect((await put([[b], [a]])).body).toMatchObject({ version: 3, verdict: 'ranked', undoes: null });
  expect(await read()).toMatchObject({ rankings: 1, my_version: 3 });
});

test('a correction taken back lets the version before stand again, and once is enough', async () => {
  const { a, b, put, undo, read } = await setUp();
  await put([[a], [b]]);
  await put([[b], [a]]);
  expect((await undo()).body).toMatchObject({ version: 3, undoes: 2, verdict: 'ranked', tiers: [[a], [b]] });
  expect(await read()).toMatchObject({ rankings: 1, my_version: 3 });
  expect((await undo()).body.code).toBe('nothing_to_undo');
});

test('a revealed task, an old submission and another person’s cannot be taken back', async () => {
  const { project, task, a, b, put, undo } = await setUp();
  const bo = await t.member(project, 'reviewer', 'Bo');
  expect((await undo()).body.code).toBe('nothing_to_undo');
  await put([[a], [b]]);
  expect((await undo(bo)).body.code).toBe('nothing_to_undo');
  await age(task.id, limits.rankings.undo_minutes);
  expect((await undo()).body.code).toBe('undo_too_late');
  await put([[a], [b]], bo);
  const late = await undo(bo);
  expect([late.status, late.body.code]).toEqual([409, 'revealed']);
});

test('what is taken back stays in the log of versions and in the audit log', async () => {
  const { ada, task, a, put, undo } = await setUp();
  const { body: submitted } = await put([[a]]);
  const { body: undone } = await undo();
  const { body } = await t.call('GET', `/api/v1/tasks/${task.id}/rankings`, { token: ada.token });
  expect(body.items.map(({ id }: { id: string }) => id)).toEqual([submitted.id, undone.id]);
  const rows = await t.sql('select facts from audit_row where object = $1', [undone.id]);
  expect(rows).toMatchObject([{ facts: { task: task.id, version: 2, undoes: 1 } }]);
});

/** As if a task's rankings were older; they cannot be changed otherwise. */
async function age(task: string, minutes: number): Promise<void> {
  await t.sql('alter table ranking disable trigger ranking_append_only', []);
  await t.sql(
    "update ranking set submitted_at = submitted_at - $2 * interval '1 minute' where task_id = $1",
    [task, minutes]
  );
  await t.sql('alter table ranking enable trigger ranking_append_only', []);
}
