import { afterAll, beforeAll, expect, test } from 'vitest';
import { testApp, type TestApp } from './testing-app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

async function setUp() {
  const project = await t.project({ mode: 'blind', overlap: 3 });
  const path = `/api/v1/projects/${project}`;
  await t.importRows(
    project,
    ['p1', 'p2'].map((prompt) => ({ prompt, outputs: ['a', 'b'] }))
  );
  const [ada, bo] = [await t.member(project, 'reviewer', 'Ada'), await t.member(project, 'reviewer', 'Bo')];
  type Who = { token: string };
  const change = async (body: object, who?: Who) =>
    (await t.call('PATCH', path, { body, ...(who ? { token: who.token } : {}) })).status;
  const seen = async ({ token }: Who) => {
    const { body } = await t.call('GET', `${path}/guidelines`, { token });
    const { guidelines_changed } = (await t.call('GET', `${path}/overview`, { token })).body;
    expect(guidelines_changed).toBe(body.before !== null);
    return [body.before, body.text];
  };
  const judge = async ({ token }: Who) => {
    const task = (await t.call('POST', `${path}/tasks/next`, { token })).body;
    const body = { tiers: [[task.outputs[0].id]] };
    expect((await t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token, body })).status).toBe(200);
  };
  return { path, ada, bo, change, seen, judge };
}

test('who judged before is told what changed since, up to their next judgement; who did not has nothing to compare', async () => {
  const { ada, bo, change, seen, judge } = await setUp();
  await change({ guidelines: 'Prefer short.' });
  expect(await seen(ada)).toEqual([null, 'Prefer short.']);
  await judge(ada);
  await change({ guidelines: 'Prefer short and right.' });
  await change({ guidelines: 'Prefer right, then short.' });
  expect(await seen(ada)).toEqual(['Prefer short.', 'Prefer right, then short.']);
  expect(await seen(bo)).toEqual([null, 'Prefer right, then short.']);
  await judge(ada);
  expect(await seen(ada)).toEqual([null, 'Prefer right, then short.']);
  // There and back is no change to who saw neither.
  await change({ guidelines: 'Something else.' });
  await change({ guidelines: 'Prefer right, then short.' });
  expect(await seen(ada)).toEqual([null, 'Prefer right, then short.']);
});

test('an owner changes what is given and nothing else; others are refused, and so is what has to stand', async () => {
  const { path, ada, change } = await setUp();
  const { body: before } = await t.call('GET', path);
  expect(
    await change({ name: 'Chest films', span_categories: ['wrong side'], review: { strength: true } })
  ).toBe(200);
  expect((await t.call('GET', path)).body).toEqual({
    ...before,
    name: 'Chest films',
    span_categories: ['wrong side'],
    review: { ...before.review, strength: true }
  });
  expect(await change({ name: 'Mine' }, ada)).toBe(403);
  for (const body of [
    { name: ' ' },
    { review: { mode: 'open' } },
    { criteria: [] },
    { guidelines: 'x'.repeat(100_001) }
  ])
    expect(await change(body)).toBe(422);
});
