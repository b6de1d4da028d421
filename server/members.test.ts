import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Task } from '#wire/task.ts';
import { limits } from './limits.ts';
import { recount, tallies } from './tasks/tally.ts';
import { testApp, type TestApp } from './testing-app.ts';

let t: TestApp;
let db: TestApp['db'];
beforeAll(async () => {
  t = await testApp();
  ({ db } = t);
});
afterAll(() => t.close());

interface Someone {
  id: string;
  token: string;
}

const change = (project: string, who: Someone, body: object, token?: string) =>
  t.call('PATCH', `/api/v1/projects/${project}/members/${who.id}`, { token, body });
const next = async (project: string, { token }: Someone): Promise<Task | null> =>
  (await t.call('POST', `/api/v1/projects/${project}/tasks/next`, { token })).body;
const rank = (task: Task, { token }: Someone) =>
  t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token, body: { tiers: [[task.outputs[0]!.id]] } });

async function imported(project: string, specialties: (string | null)[]): Promise<void> {
  const rows = specialties.map((specialty, n) => ({
    ...{ prompt: `p${n}`, outputs: ['a', 'b'], ranking: [[0], [1]] },
    ...(specialty === null ? {} : { specialty })
  }));
  await t.importRows(project, rows);
}

test('specialties are kept as words that differ in more than case; roles change, but the last owner stays one', async () => {
  const project = await t.project();
  const bo = await t.member(project, 'reviewer');
  const { body } = await change(project, bo, { specialties: [' Thorax ', 'thorax', 'MSK'] });
  expect(body).toMatchObject({ role: 'reviewer', specialties: ['msk', 'thorax'] });
  expect((await change(project, bo, { role: 'adjudicator' })).body).toMatchObject({
    role: 'adjudicator',
    specialties: ['msk', 'thorax']
  });
  const me = (await t.call('GET', '/api/v1/me')).body.user;
  expect((await change(project, me, { role: 'reviewer' })).body.code).toBe('last_owner');
  await change(project, bo, { role: 'owner' });
  // Two owners who demote each other at once: one of them stays.
  const both = await Promise.all([
    change(project, me, { role: 'viewer' }, bo.token),
    change(project, bo, { role: 'viewer' })
  ]);
  expect(both.map(({ status }) => status).toSorted()).not.toEqual([200, 200]);
  const members = (await t.call('GET', `/api/v1/projects/${project}/members`, { token: bo.token })).body
    .items;
  expect(members.filter(({ role }: { role: string }) => role === 'owner')).toHaveLength(1);
});

test('what is refused: too many, too long, none, what cannot be kept, and who is no member', async () => {
  const project = await t.project();
  const bo = await t.member(project, 'reviewer');
  const { specialties_max, specialty_length_max } = limits.auth;
  const many = (count: number) => Array.from({ length: count }, (_, n) => `s${n}`);
  expect((await change(project, bo, { specialties: many(specialties_max) })).status).toBe(200);
  expect((await change(project, bo, { specialties: many(specialties_max + 1) })).body.code).toBe('invalid');
  expect((await change(project, bo, { specialties: ['x'.repeat(specialty_length_max)] })).status).toBe(200);
  for (const one of ['x'.repeat(specialty_length_max + 1), '  ', 'a\0b', '\ud800'])
    expect((await change(project, bo, { specialties: [one] })).body.code).toBe('invalid');
  expect((await change(project, { ...bo, id: 'nobody' }, { role: 'viewer' })).status).toBe(404);
  expect((await change(project, bo, { role: 'king' })).body.code).toBe('invalid');
});

test('rows that carry a specialty come to members who have it, also to one who gains it later; counts stay right', async () => {
  const project = await t.project({ mode: 'blind', overlap: 2 });
  await imported(project, ['Thorax', null, 'thorax ', 'neuro']);
  const bo = await t.member(project, 'reviewer');
  const cy = await t.member(project, 'reviewer');
  await change(project, bo, { specialties: ['thorax'] });
  const numbersOf = async (who: Someone) => {
    const numbers: number[] = [];
    for (let task = await next(project, who); task; task = await next(project, who)) {
      numbers.push(task.number);
      expect((await rank(task, who)).status).toBe(200);
      expect(await tallies(db, project)).toEqual(await recount(db, project));
    }
    return numbers;
  };
  const todoOf = async ({ token }: Someone) =>
    (await t.call('GET', `/api/v1/projects/${project}/overview`, { token })).body.tasks.todo;
  expect([await todoOf(bo), await todoOf(cy)]).toEqual([3, 1]);
  expect(await numbersOf(bo)).toEqual([1, 2, 3]);
  expect(await numbersOf(cy)).toEqual([2]);
  // Both were led past the last task, which was not for them.
  await change(project, cy, { specialties: ['neuro', 'thorax'] });
  expect(await numbersOf(cy)).toEqual([1, 3, 4]);
  await change(project, bo, { specialties: [] });
  expect(await numbersOf(bo)).toEqual([]);
});
