import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomFrom } from '#domain/random.ts';
import type { AssignedTasks } from '#wire/assigning.ts';
import type { Task } from '#wire/task.ts';
import { limits } from './limits.ts';
import { recount, tallies } from './tasks/tally.ts';
import { testApp, type TestApp } from './testing-app.ts';
import { stories } from './testing-stories.ts';

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

/** A blind project with that many tasks, and people who judge in it, of whom the first has the specialty thorax. */
async function setUp(count: number, people = 3, overlap = 1) {
  const project = await t.project({ mode: 'blind', overlap });
  const rows = Array.from({ length: count }, (_, n) => ({ prompt: `p${n}`, outputs: ['a', 'b'] }));
  await t.importRows(project, rows);
  const members: Someone[] = [];
  for (let n = 0; n < people; n++) members.push(await t.member(project, 'reviewer'));
  await t.call('PATCH', `/api/v1/projects/${project}/members/${members[0]!.id}`, {
    body: { specialties: ['thorax'] }
  });
  const root = `/api/v1/projects/${project}/tasks`;
  const list = async ({ token }: { token?: string } = {}, query = ''): Promise<Task[]> =>
    (await t.call('GET', `${root}?limit=200${query}`, { token })).body.items;
  const next = async ({ token }: Someone): Promise<Task | null> =>
    (await t.call('POST', `${root}/next`, { token })).body;
  const assign = (body: object, token?: string) => t.call('POST', `${root}/assign`, { token, body });
  const isCounted = async () => {
    const stand = (await tallies(db, project)).filter(({ total }) => total > 0);
    expect(stand).toEqual(await recount(db, project));
  };
  return { project, members, tasks: await list(), list, next, assign, isCounted };
}

const on = (task: Task, { token }: Someone) => ({
  rank: () =>
    t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token, body: { tiers: [[task.outputs[0]!.id]] } }),
  undo: () => t.call('POST', `/api/v1/tasks/${task.id}/ranking/undo`, { token }),
  skip: () => t.call('POST', `/api/v1/tasks/${task.id}/skip`, { token, body: {} }),
  giveBack: () => t.call('DELETE', `/api/v1/tasks/${task.id}/lease`, { token })
});

const codes = ({ refused }: AssignedTasks) => refused.map(({ number, code }) => [number, code]);

test('tasks given to people come to them before others, to nobody else, and to each of them once', async () => {
  const { members, tasks, list, next, assign, isCounted } = await setUp(4);
  const [bo, cy, di] = members as [Someone, Someone, Someone];
  const { status, body } = await assign({ tasks: '3-4', people: [cy.id, di.id] });
  expect([status, body]).toEqual([200, { given: 2, refused: [] }]);
  await isCounted();
  expect((await next(cy))!.number).toBe(3);
  expect((await on(tasks[2]!, bo).rank()).body.code).toBe('assigned');
  expect(await list(di).then((all) => all.map(({ people, overlap }) => [people?.length, overlap]))).toEqual([
    [undefined, 1],
    [undefined, 1],
    [1, 2],
    [1, 2]
  ]);
  expect((await list())[2]!.people!.toSorted()).toEqual([cy.id, di.id].toSorted());
  const seen: Record<string, number[]> = {};
  for (const who of [di, cy, bo])
    for (let task = await next(who); task; task = await next(who)) {
      (seen[who.id] ??= []).push(task.number);
      expect((await on(task, who).rank()).status).toBe(200);
      await isCounted();
    }
  expect(seen).toEqual({ [di.id]: [3, 4, 1, 2], [cy.id]: [3, 4] });
  expect((await list()).every((task) => task.status === 'revealed')).toBe(true);
  const rows = await db.$client.query(
    `select facts from audit_row where action = 'task.assign' order by seq`
  );
  expect(rows.rows[0].facts).toMatchObject({ people: [cy.id, di.id] });
});

test('who judged a task keeps that when it is given to others, and may correct or take it back', async () => {
  const { members, tasks, list, next, assign, isCounted } = await setUp(2, 3, 2);
  const [bo, cy] = members as [Someone, Someone];
  await on(tasks[0]!, bo).rank();
  await assign({ tasks: [tasks[0]!.id], people: [cy.id] });
  await isCounted();
  expect((await list())[0]).toMatchObject({ overlap: 2, rankings: 1, people: [bo.id, cy.id].toSorted() });
  expect((await on(tasks[0]!, bo).rank()).body.version).toBe(2);
  const withdrawn = await on(tasks[0]!, bo).undo();
  expect(withdrawn.status).toBe(200);
  await isCounted();
  await on(tasks[0]!, cy).rank();
  expect((await list())[0]).toMatchObject({ status: 'revealed', rankings: 2 });
  expect((await next(bo))!.number).toBe(2);
});

test('tasks of a specialty come to those who have it; given to everybody they come to those who were led past them', async () => {
  const { members, next, list, assign, isCounted } = await setUp(4);
  const [bo, cy, di] = members as [Someone, Someone, Someone];
  expect((await assign({ tasks: '1-2', specialty: ' Thorax' })).body.given).toBe(2);
  await isCounted();
  expect((await next(cy))!.number).toBe(3);
  expect((await next(bo))!.number).toBe(1);
  expect((await next(di))!.number).toBe(4);
  expect((await list(cy, '&specialty=Thorax')).map(({ number }) => number)).toEqual([1, 2]);
  await assign({ tasks: '2-2', people: [di.id] });
  await isCounted();
  expect((await list(di, `&person=${di.id}`)).map(({ number }) => number)).toEqual([2]);
  expect((await list({}, `&person=${di.id}`)).map(({ number }) => number)).toEqual([2]);
  await on((await next(cy))!, cy).rank();
  expect(await next(cy)).toBeNull();
  await assign({ tasks: '1-4', specialty: null });
  await isCounted();
  expect((await list()).map(({ people, specialty, overlap }) => [people, specialty, overlap])).toEqual(
    Array.from({ length: 4 }, () => [null, null, 1])
  );
  // Bo holds the first and Di the last.
  expect((await next(cy))!.number).toBe(2);
});

test('what cannot be given is said by number, and the others are given', async () => {
  const { members, tasks, list, next, assign, isCounted } = await setUp(5);
  const [bo, cy, di] = members as [Someone, Someone, Someone];
  await on(tasks[0]!, bo).rank();
  const norming = await t.call('POST', `/api/v1/projects/${tasks[0]!.project}/norming`, {
    body: { name: 'Panel', members: [cy.id, di.id], tasks: [tasks[1]!.id] }
  });
  expect(norming.status).toBe(201);
  expect((await next(bo))!.number).toBe(3);
  const given = (await assign({ tasks: '1-5', people: [cy.id] })).body as AssignedTasks;
  expect(given.given).toBe(2);
  expect(codes(given)).toEqual([
    [1, 'revealed'],
    [2, 'norming'],
    [3, 'handed_out']
  ]);
  expect(given.refused[0]!.detail).toBe('Task 1 is revealed already.');
  expect(codes((await assign({ tasks: '1-3', specialty: null })).body)).toEqual([
    [1, 'revealed'],
    [2, 'norming']
  ]);
  // Of two people one is enough; when she has judged it, nobody is left to ask.
  await assign({ tasks: [tasks[3]!.id], people: [cy.id, di.id] });
  await on(tasks[3]!, cy).rank();
  expect((await list())[3]).toMatchObject({ overlap: 2, rankings: 1 });
  expect(codes((await assign({ tasks: [tasks[3]!.id], people: [cy.id] })).body)).toEqual([
    [4, 'overlap_reached']
  ]);
  expect(codes((await assign({ tasks: [tasks[3]!.id], specialty: null })).body)).toEqual([
    [4, 'overlap_reached']
  ]);
  await isCounted();
});

test('who was handed a task that was then given to others may come late, and is heard', async () => {
  const { members, tasks, next, assign, isCounted } = await setUp(1);
  const [bo, cy, di] = members as [Someone, Someone, Someone];
  await next(bo);
  await db.$client.query(`update lease set expires_at = now() where user_id = $1`, [bo.id]);
  expect((await assign({ tasks: '1-1', people: [cy.id] })).body.given).toBe(1);
  expect((await on(tasks[0]!, di).rank()).body.code).toBe('assigned');
  expect((await on(tasks[0]!, bo).rank()).status).toBe(200);
  await isCounted();
});

test('what is refused as a whole, and who may not', async () => {
  const { project, members, tasks, list, assign } = await setUp(1);
  const [bo, cy] = members as [Someone, Someone];
  const viewer = await t.member(project, 'viewer');
  const refused = async (body: object) => (await assign(body)).body.detail;
  const { given_at_once_max, people_given_max } = limits.tasks;
  const many = (count: number) => Array.from({ length: count }, (_, n) => `x${n}`);
  const one = [tasks[0]!.id];
  expect(await refused({ tasks: many(given_at_once_max + 1), specialty: null })).toMatch('at most 1000');
  expect(await refused({ tasks: `1-${given_at_once_max + 1}`, specialty: null })).toMatch('at most 1000');
  expect((await assign({ tasks: `1-${given_at_once_max}`, specialty: null })).status).toBe(200);
  expect(await refused({ tasks: one, people: many(people_given_max + 1) })).toMatch('20 people at most');
  expect(await refused({ tasks: '2-1', specialty: null })).toMatch('lower number first');
  expect(await refused({ tasks: '7-9', specialty: null })).toMatch('there is none');
  expect(await refused({ tasks: ['task_of_another'], specialty: null })).toMatch('no tasks of this project');
  expect(await refused({ tasks: one })).toMatch('either people or specialty');
  expect(await refused({ tasks: one, people: [bo.id], specialty: null })).toMatch(
    'either people or specialty'
  );
  expect(await refused({ tasks: one, specialty: null, overlap: 1 })).toMatch('overlap');
  expect(await refused({ tasks: one, people: [bo.id], overlap: 2 })).toMatch('overlap');
  expect((await assign({ tasks: one, people: [viewer.id] })).body.code).toBe('not_a_judge');
  expect((await assign({ tasks: one, people: [bo.id] }, bo.token)).status).toBe(403);
  const path = `/api/v1/projects/${project}/tasks?person=${cy.id}`;
  expect((await t.call('GET', path, { token: bo.token })).status).toBe(403);
  expect((await list(bo)).length).toBe(1);
});

test(
  'whatever stories of giving and judging do, counts are those of the tasks, and no task comes twice or is forgotten',
  () => stories(4, story),
  240_000
);

async function story(seed: number): Promise<void> {
  const random = randomFrom(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  const { project, members, tasks, list, next, assign, isCounted } = await setUp(
    6,
    3,
    1 + Math.floor(random() * 2)
  );
  const give = async () => {
    const from = 1 + Math.floor(random() * 6);
    const to = Math.min(6, from + Math.floor(random() * 3));
    const people = members.filter(() => random() < 0.5).map(({ id }) => id);
    const whom = people.length ? { people } : { specialty: pick([null, 'thorax', 'neuro']) };
    expect((await assign({ tasks: `${from}-${to}`, ...whom })).status).toBe(200);
  };
  for (let step = 0; step < 30; step++) {
    const who = pick(members);
    const act = pick(['rank', 'rank', 'skip', 'giveBack', 'undo', 'give', 'give'] as const);
    if (act === 'give') await give();
    else {
      const task = act === 'undo' ? pick(tasks) : await next(who);
      if (task) await on(task, who)[act]();
    }
    await isCounted();
  }
  // All leases end; then each open task comes, once, to whoever it is for and has not judged it.
  await db.$client.query(`update lease set expires_at = now() where project_id = $1`, [project]);
  for (const who of members) {
    const all = await list(who);
    const specialties = who === members[0] ? ['thorax'] : [];
    const theirs = all.filter(
      ({ status, my_version, people, specialty }) =>
        status === 'open' &&
        !my_version &&
        (people ? people.includes(who.id) : specialty === null || specialties.includes(specialty))
    );
    const seen: string[] = [];
    for (let task = await next(who); task; task = await next(who)) {
      expect(seen).not.toContain(task.id);
      seen.push(task.id);
      expect((await on(task, who).rank()).status).toBe(200);
      await isCounted();
    }
    expect(seen.toSorted()).toEqual(theirs.map(({ id }) => id).toSorted());
  }
}
