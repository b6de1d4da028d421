import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskOrder } from '#wire/project.ts';
import type { Task } from '#wire/task.ts';
import { limits } from '../limits.ts';
import { catchUp } from '../priority/index.ts';
import { testApp, type TestApp } from '../testing-app.ts';
import { recount, tallies } from './tally.ts';

let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

type Member = { id: string; token: string };

async function setUp(tasks: number, people: number, overlap: number, order: TaskOrder = 'arrival') {
  const project = await t.project({ mode: 'blind', overlap });
  const path = `/api/v1/projects/${project}`;
  const patch = (review: object) => t.call('PATCH', path, { body: { review } });
  await patch({ order, random_share: 0 });
  const outputs = ['x', 'y'].map((source) => ({ text: source, source }));
  const rows = Array.from({ length: tasks }, (_, n) => ({ prompt: `p${n}`, outputs }));
  await t.importRows(project, rows);
  await catchUp(t.db);
  const members = await Promise.all(Array.from({ length: people }, () => t.member(project, 'reviewer')));
  const list = async (): Promise<Task[]> => (await t.call('GET', `${path}/tasks?limit=100`)).body.items;
  return {
    ...{ path, patch, members, list },
    change: async (to: number) => {
      const { status, body } = await patch({ overlap: to });
      await countsAreTrue(project);
      return status === 200 ? body.review.overlap : `${status} ${body.code} ${body.detail}`;
    },
    next: async ({ token }: Member): Promise<Task | null> =>
      (await t.call('POST', `${path}/tasks/next`, { token })).body,
    rank: async (task: Task, { token }: Member) => {
      const body = { tiers: [[task.outputs[0]!.id]] };
      return (await t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token, body })).status;
    },
    countsAreTrue: () => countsAreTrue(project)
  };
}

const countsAreTrue = async (project: string) =>
  expect(await tallies(t.db, project)).toEqual(await recount(t.db, project));

test.each<TaskOrder>(['arrival', 'uncertainty'])(
  'a queue by %s that was handed out in full gives more once the overlap is raised; what is revealed stays so',
  async (order) => {
    const { members, list, change, next, rank } = await setUp(3, 2, 1, order);
    const [ada, bo] = members as [Member, Member];
    const first = (await next(ada))!;
    const second = (await next(bo))!;
    expect(await rank(second, bo)).toBe(200);
    const third = (await next(bo))!;
    expect(await rank(third, bo)).toBe(200);
    // Bo was led past the one that Ada holds.
    expect(await next(bo)).toBeNull();
    expect(await change(2)).toBe(2);
    expect(await rank(first, ada)).toBe(200);
    expect((await next(bo))!.id).toBe(first.id);
    expect(await next(ada)).toBeNull();
    expect(await rank(first, bo)).toBe(200);
    expect(await next(bo)).toBeNull();
    const stand = (await list()).map(({ status, rankings, overlap }) => [status, rankings, overlap]);
    expect(stand).toEqual([
      ['revealed', 2, 2],
      ['revealed', 1, 1],
      ['revealed', 1, 1]
    ]);
    expect(await change(3)).toBe(3);
    expect((await list()).map(({ status, overlap }) => [status, overlap])).toEqual(
      stand.map(([status, , overlap]) => [status, overlap])
    );
  }
);

test('the overlap is lowered where that reveals nothing, else it is said how many tasks stand against it', async () => {
  const { path, members, patch, list, change, next, rank } = await setUp(3, 3, 4);
  const [ada, bo, cy] = members as [Member, Member, Member];
  const [first, second, third] = (await list()) as [Task, Task, Task];
  for (const member of members) await rank(first, member);
  for (const member of [ada, bo]) await rank(second, member);
  await rank(third, ada);
  // An adjudicator may open one before its time; that one has nothing more to lose.
  expect((await t.call('POST', `/api/v1/tasks/${third.id}/reveal`)).status).toBe(204);
  expect(await change(2)).toBe(
    '409 overlap_reached The overlap cannot be 2: 2 tasks have 2 rankings or more already and would be revealed. The lowest that reveals none is 4.'
  );
  expect(await change(3)).toMatch('cannot be 3: 1 task has 3 rankings or more');
  expect((await t.call('GET', path)).body.review.overlap).toBe(4);
  await rank(first, (await t.member(path.split('/').at(-1)!, 'reviewer'))!);
  expect(await change(3)).toBe(3);
  expect((await list()).map(({ status, rankings, overlap }) => [status, rankings, overlap])).toEqual([
    ['revealed', 4, 4],
    ['open', 2, 3],
    ['revealed', 1, 4]
  ]);
  expect((await next(cy))!.id).toBe(second.id);
  expect(await rank(second, cy)).toBe(200);
  expect((await list())[1]).toMatchObject({ status: 'revealed', overlap: 3 });
  expect(await change(1)).toBe(1);
  const { overlap_max } = limits.tasks;
  for (const overlap of [0, overlap_max + 1, 1.5]) expect((await patch({ overlap })).status).toBe(422);
  expect((await t.call('PATCH', path, { token: ada.token, body: { review: { overlap: 2 } } })).status).toBe(
    403
  );
  const { rows } = await t.db.$client.query(
    `select facts from audit_row where action = 'project.change' and object = $1 order by seq desc limit 1`,
    [path.split('/').at(-1)]
  );
  expect(rows[0].facts).toEqual({ changed: ['review'], overlap: { before: 3, after: 1 } });
});

test('tasks of a panel and of certain people ask for what they asked for; given to everybody, for what the project does', async () => {
  const { path, members, list, change, rank, countsAreTrue } = await setUp(3, 3, 3);
  const [ada, bo, cy] = members as [Member, Member, Member];
  const [panel, given] = (await list()) as [Task, Task];
  const session = { name: 'First', members: [ada.id, bo.id], tasks: [panel.id] };
  expect((await t.call('POST', `${path}/norming`, { body: session })).status).toBe(201);
  const assign = (body: object) => t.call('POST', `${path}/tasks/assign`, { body });
  await assign({ tasks: [given.id], people: [ada.id, bo.id] });
  const asked = async () => (await list()).map(({ overlap }) => overlap);
  expect(await asked()).toEqual([2, 2, 3]);
  expect(await change(5)).toBe(5);
  expect(await asked()).toEqual([2, 2, 5]);
  expect(await rank(given, ada)).toBe(200);
  expect(await change(1)).toBe(1);
  expect(await asked()).toEqual([2, 2, 1]);
  const everybody = { tasks: [given.id], specialty: null };
  expect((await assign(everybody)).body.refused[0].code).toBe('overlap_reached');
  expect(await change(2)).toBe(2);
  expect((await assign(everybody)).body.given).toBe(1);
  expect(await change(3)).toBe(3);
  expect(await asked()).toEqual([2, 3, 3]);
  expect(await rank(given, cy)).toBe(200);
  await countsAreTrue();
});

test.each([
  { from: 2, to: 3 },
  { from: 3, to: 2 }
])(
  'the overlap goes from $from to $to while twenty people submit: each is counted by one of them',
  async ({ from, to }) => {
    const { members, list, patch, rank, countsAreTrue } = await setUp(10, 20, from);
    const tasks = await list();
    const done: number[] = [];
    const submissions = members.map(async (member, i) =>
      done.push(await rank(tasks[i % tasks.length]!, member))
    );
    while (done.length < 8) await new Promise((resolve) => setTimeout(resolve, 2));
    const { status } = await patch({ overlap: to });
    await Promise.all(submissions);
    expect(new Set(done)).toEqual(new Set([200]));
    // Lowering comes too late where a task has two already.
    expect([to > from ? [200] : [200, 409]].flat()).toContain(status);
    const overlap = status === 200 ? to : from;
    for (const task of await list()) {
      expect(task.rankings).toBe(2);
      expect(task.status).toBe(task.overlap > 2 ? 'open' : 'revealed');
      if (task.status === 'open') expect(task.overlap).toBe(overlap);
    }
    await countsAreTrue();
  }
);
