import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomFrom } from '#domain/random.ts';
import type { TaskOrder } from '#wire/project.ts';
import type { Task } from '#wire/task.ts';
import { catchUp } from '../priority/index.ts';
import { testApp, type TestApp } from '../testing-app.ts';
import { stories } from '../testing-stories.ts';
import { recount, tallies } from './tally.ts';

let t: TestApp;
let db: TestApp['db'];
beforeAll(async () => {
  t = await testApp();
  ({ db } = t);
});
afterAll(() => t.close());

type Member = { id: string; token: string };

async function setUp(tasks: number, people: number, overlap: number, order: TaskOrder = 'arrival') {
  const project = await t.project({ mode: 'blind', overlap });
  const review = { order, random_share: 0.3 };
  expect((await t.call('PATCH', `/api/v1/projects/${project}`, { body: { review } })).status).toBe(200);
  const outputs = (n: number) => ['a', 'b'].map((text, at) => ({ text, source: 'xyz'[(n + at) % 3] }));
  const rows = Array.from({ length: tasks }, (_, n) => ({ prompt: `p${n}`, outputs: outputs(n) }));
  await t.importRows(project, rows);
  await catchUp(db);
  const members = await Promise.all(Array.from({ length: people }, () => t.member(project, 'reviewer')));
  return { project, members };
}

const next = async (project: string, { token }: Member, after = ''): Promise<Task | null> =>
  (await t.call('POST', `/api/v1/projects/${project}/tasks/next${after && `?after=${after}`}`, { token }))
    .body;

const on = (task: Task, { token }: Member) => ({
  rank: () =>
    t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, {
      token,
      body: { tiers: [[task.outputs[0]!.id]] }
    }),
  undo: () => t.call('POST', `/api/v1/tasks/${task.id}/ranking/undo`, { token }),
  skip: () => t.call('POST', `/api/v1/tasks/${task.id}/skip`, { token, body: {} }),
  giveBack: () => t.call('DELETE', `/api/v1/tasks/${task.id}/lease`, { token })
});

/** Refused where it would reveal a task. */
const changeOverlap = (project: string, overlap: number) =>
  t.call('PATCH', `/api/v1/projects/${project}`, { body: { review: { overlap } } });

const lapse = (task: Task, { id }: Member) =>
  db.execute(
    sql`update lease set expires_at = now() - interval '1 second' where task_id = ${task.id} and user_id = ${id}`
  );

test.each<TaskOrder>(['arrival', 'uncertainty'])(
  'two hundred people who ask at once, by %s: no task goes to more than its overlap, and all that there are go out',
  async (order) => {
    const { project, members } = await setUp(130, 200, 2, order);
    const given = await Promise.all(members.map((member) => next(project, member, 'none')));
    const holders = Map.groupBy(
      given.filter((task) => task !== null),
      ({ id }) => id
    );
    expect(given.filter((task) => task === null)).toEqual([]);
    expect(Math.max(...[...holders.values()].map((tasks) => tasks.length))).toBe(2);
    if (order === 'arrival') expect(holders.size).toBe(100);
    // Sixty places are left, for two hundred who ask for the one after.
    const more = await Promise.all(members.map((member, i) => next(project, member, given[i]!.id)));
    expect(more.filter((task) => task !== null)).toHaveLength(60);
    for (const [i, task] of more.entries()) expect(task?.id).not.toBe(given[i]!.id);
  },
  120_000
);

test('by uncertainty, a lease that lapses makes the task the next of others', async () => {
  const { project, members } = await setUp(2, 2, 1, 'uncertainty');
  const [ada, bo] = members as [Member, Member];
  const first = (await next(project, ada))!;
  await on((await next(project, bo))!, bo).rank();
  expect(await next(project, bo)).toBeNull();
  await lapse(first, ada);
  expect((await next(project, bo))!.id).toBe(first.id);
  expect(await next(project, ada)).toBeNull();
});

test('a lease that lapses makes the task the next of others, also of those who were led past it', async () => {
  const { project, members } = await setUp(3, 2, 1);
  const [ada, bo] = members as [Member, Member];
  const first = (await next(project, ada))!;
  const second = (await next(project, bo))!;
  expect([first.number, second.number]).toEqual([1, 2]);
  await on(second, bo).rank();
  const third = (await next(project, bo))!;
  expect(third.number).toBe(3);
  await on(third, bo).rank();
  expect(await next(project, bo)).toBeNull();
  await lapse(first, ada);
  expect((await next(project, bo))!.number).toBe(1);
  expect(await next(project, ada)).toBeNull();
});

test('a task that was opened by its link while the next was asked for is still handed out', async () => {
  const { project, members } = await setUp(3, 1, 1);
  const ada = members[0]!;
  const path = `/api/v1/projects/${project}/tasks`;
  const first = (await t.call('GET', path, { token: ada.token })).body.items[0];
  expect((await next(project, ada, first.id))!.number).toBe(2);
  expect((await next(project, ada))!.number).toBe(2);
  expect((await next(project, ada, (await next(project, ada))!.id))!.number).toBe(1);
});

test('a skipped task comes last, and in its turn again once the skip is taken back', async () => {
  const { project, members } = await setUp(3, 1, 1);
  const ada = members[0]!;
  const first = (await next(project, ada))!;
  await on(first, ada).skip();
  const second = (await next(project, ada))!;
  expect(second.number).toBe(2);
  await on(second, ada).giveBack();
  await t.call('DELETE', `/api/v1/tasks/${first.id}/skip`, { token: ada.token });
  expect((await next(project, ada))!.number).toBe(1);
  await on(first, ada).skip();
  const numbers = [];
  for (let n = 0; n < 3; n++) {
    const task = (await next(project, ada))!;
    numbers.push(task.number);
    await on(task, ada).rank();
  }
  expect(numbers).toEqual([2, 3, 1]);
});

test(
  'whatever stories of people do, the counts are those of the tasks, nothing is handed out twice or forgotten',
  () => stories(16, story),
  120_000
);

async function story(seed: number): Promise<void> {
  const random = randomFrom(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
  const overlap = 1 + Math.floor(random() * 2);
  const order = seed % 2 ? 'arrival' : 'uncertainty';
  const { project, members } = await setUp(6, 3, overlap, order);
  const held = new Map<Member, Task>();
  for (let step = 0; step < 40; step++) {
    const member = pick(members);
    const task = held.get(member) ?? (await next(project, member));
    if (!task) continue;
    held.set(member, task);
    const acts = ['rank', 'rank', 'skip', 'giveBack', 'undo', 'lapse', 'ahead', 'value', 'overlap'] as const;
    const act = pick(acts);
    if (act === 'ahead') await next(project, member, task.id);
    else if (act === 'overlap') await changeOverlap(project, pick([1, 2, 3]));
    else if (act === 'value') await catchUp(db);
    else if (act === 'lapse') await lapse(task, member);
    else if (act === 'undo') await on(task, member).undo();
    else await on(task, member)[act]();
    if (!['ahead', 'undo', 'value', 'overlap'].includes(act)) held.delete(member);
    expect(await tallies(db, project)).toEqual(await recount(db, project));
  }
  // Held tasks end with their leases; then each that lacks raters comes to whoever has not judged it.
  await db.execute(sql`update lease set expires_at = now() where project_id = ${project}`);
  for (const member of members) {
    const overview = (await t.call('GET', `/api/v1/projects/${project}/overview`, { token: member.token }))
      .body;
    const tasks = (await t.call('GET', `/api/v1/projects/${project}/tasks?limit=50`, { token: member.token }))
      .body.items as Task[];
    const open = tasks.filter(({ status, my_version }) => status === 'open' && !my_version);
    expect(overview.tasks.todo).toBe(open.length);
    const seen = new Set<string>();
    for (let task = await next(project, member); task; task = await next(project, member)) {
      expect(seen).not.toContain(task.id);
      seen.add(task.id);
      expect((await on(task, member).rank()).status).toBe(200);
    }
    expect([...seen].toSorted()).toEqual(open.map(({ id }) => id).toSorted());
  }
}
