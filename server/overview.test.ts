import { afterAll, beforeAll, expect, test } from 'vitest';
import { limits } from './limits.ts';
import { testApp, type TestApp } from './testing-app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

const overview = async (project: string, token?: string) =>
  (await t.call('GET', `/api/v1/projects/${project}/overview`, { token })).body;

test('an overview counts what each room of the flow holds', async () => {
  const project = await t.project();
  expect(await overview(project)).toEqual({
    tasks: { total: 0, revealed: 0, wanted: 0, ranked: 0, todo: 0, done: 0 },
    rankings: 0,
    guidelines_changed: false,
    work: {
      pairs: { count: 0, complete: true },
      datasets: 0,
      runs: 0,
      runs_active: 0,
      adapters: 0,
      scored: null
    }
  });
  await t.importRows(project, [
    { prompt: 'a', outputs: ['1', '2', '3'] },
    { prompt: 'b', outputs: ['1', '2', '3'], ranking: [[0], [1], [2]] },
    { prompt: 'c', chosen: '1', rejected: '2' }
  ]);
  await t.call('POST', `/api/v1/projects/${project}/datasets`, {
    body: { name: 'First', eval_fraction: 0, seed: 1 }
  });
  const after = await overview(project);
  expect(after).toMatchObject({ tasks: { total: 3, wanted: 6, ranked: 0, todo: 3, done: 0 }, rankings: 2 });
  expect(after.work).toMatchObject({ pairs: { count: 4, complete: true }, datasets: 1 });
});

test('what waits for a person is what they would be handed, one after the other', async () => {
  const project = await t.project({ overlap: 1 });
  await t.importRows(project, [
    { prompt: 'a', outputs: ['1', '2'] },
    { prompt: 'b', outputs: ['1', '2'] }
  ]);
  const one = await t.member(project, 'reviewer');
  const two = await t.member(project, 'reviewer');
  await t.call('POST', `/api/v1/projects/${project}/tasks/next`, { token: one.token });
  expect((await overview(project, one.token)).tasks.todo).toBe(2);
  expect((await overview(project, two.token)).tasks.todo).toBe(1);
});

test('reviewers see no counts of the work, viewers have nothing to do, strangers see nothing', async () => {
  const project = await t.project();
  await t.importRows(project, [{ prompt: 'a', outputs: ['1', '2'] }]);
  const reviewer = await t.member(project, 'reviewer');
  const viewer = await t.member(project, 'viewer');
  expect((await overview(project, reviewer.token)).work).toBeNull();
  expect((await overview(project, viewer.token)).tasks.todo).toBe(0);
  const stranger = await t.member(await t.project(), 'owner');
  expect((await overview(project, stranger.token)).code).toBe('not_found');
});

test('the pairs of a large project are counted up to a limit, and said to be more', async () => {
  const project = await t.project();
  const outputs = Array.from({ length: 26 }, (_, i) => `${i}`);
  const ranking = outputs.map((_, i) => [i]);
  const enough = Math.ceil(limits.overview.pairs_counted_max / ((26 * 25) / 2));
  const rows = Array.from({ length: enough + 2 }, (_, i) => ({ prompt: `p${i}`, outputs, ranking }));
  await t.importRows(project, rows);
  const { pairs } = (await overview(project)).work;
  expect(pairs.complete).toBe(false);
  expect(pairs.count).toBeGreaterThanOrEqual(limits.overview.pairs_counted_max);
});
