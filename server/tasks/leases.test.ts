import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Task } from '#wire/task.ts';
import { testApp, type TestApp } from '../testing-app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

/** A blind project with that many tasks, and two people who judge in it. */
async function setUp(tasks: number, overlap = 1) {
  const project = await t.project({ mode: 'blind', overlap });
  const body = Array.from({ length: tasks }, (_, n) =>
    JSON.stringify({ prompt: `p${n}`, outputs: ['a', 'b'] })
  );
  const sent = await t.call('POST', `/api/v1/projects/${project}/imports`, {
    body: body.join('\n'),
    headers: { 'content-type': 'application/jsonl' }
  });
  await expect
    .poll(async () => (await t.call('GET', `/api/v1/imports/${sent.body.id}`)).body.status)
    .toBe('done');
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
