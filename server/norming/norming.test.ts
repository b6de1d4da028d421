import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NormingSession } from '#wire/norming.ts';
import { limits } from '../limits.ts';
import { roomApp, type RoomApp } from '../rooms/testing-room.ts';
import { recount, tallies } from '../tasks/tally.ts';

let t: RoomApp;
let db: RoomApp['db'];
beforeAll(async () => {
  t = await roomApp();
  ({ db } = t);
});
afterAll(() => t.close());

interface Someone {
  id: string;
  token: string;
}

async function setUp(count = 2, mode: 'open' | 'blind' = 'blind') {
  const project = await t.project({ mode, overlap: 2 });
  const tasks: { id: string; outputs: string[] }[] = [];
  for (let n = 0; n < count; n++) tasks.push(await t.task(project));
  const join = (role: string, name: string): Promise<Someone> => t.member(project, role, name);
  const ada = await join('adjudicator', 'Ada');
  const [bo, cy, di] = [
    await join('reviewer', 'Bo'),
    await join('reviewer', 'Cy'),
    await join('reviewer', 'Di')
  ];
  const panel = [ada, bo, cy];
  const begin = (body: object = {}, token = ada.token) =>
    t.call('POST', `/api/v1/projects/${project}/norming`, {
      token,
      body: { name: 'First norming', members: panel.map(({ id }) => id), tasks: count, ...body }
    });
  const rank = (who: Someone, at: number, order = 'ABC') =>
    t.call('PUT', `/api/v1/tasks/${tasks[at]!.id}/ranking`, {
      token: who.token,
      body: { tiers: [...order].map((letter) => [tasks[at]!.outputs['ABC'.indexOf(letter)]]) }
    });
  const next = async (who: Someone) =>
    (await t.call('POST', `/api/v1/projects/${project}/tasks/next`, { token: who.token })).body;
  return { project, tasks, ada, bo, cy, di, panel, begin, rank, next };
}

const read = (id: string, { token }: Someone) => t.call('GET', `/api/v1/norming/${id}`, { token });
const close = (id: string, { token }: Someone) => t.call('POST', `/api/v1/norming/${id}/close`, { token });
const isCounted = async (project: string) => {
  const stand = (await tallies(db, project)).filter(({ total }) => total > 0);
  expect(stand).toEqual(await recount(db, project));
};

test('from the first vote to the second: what is known when, and how far the panel agrees before and after', async () => {
  const { project, tasks, ada, bo, cy, begin, rank, next } = await setUp();
  const begun = await begin();
  expect(begun.status).toBe(201);
  const { id, ...session } = begun.body as NormingSession;
  expect(session).toMatchObject({ status: 'voting', first: null, second: null, moved_most: null });
  await isCounted(project);

  expect((await next(bo)).id).toBe(tasks[0]!.id);
  for (const who of [ada, bo, cy]) expect((await rank(who, 0)).status).toBe(200);
  await rank(ada, 1, 'ABC');
  await rank(bo, 1, 'CBA');
  await isCounted(project);
  const voting = (await read(id, cy)).body as NormingSession;
  expect(voting.status).toBe('voting');
  expect(voting.members.map(({ name, voted }) => [name, voted])).toEqual([
    ['Ada', 2],
    ['Bo', 2],
    ['Cy', 1]
  ]);
  // One table is open, the other is not; figures wait for all.
  expect(voting.tasks.map(({ revealed, before }) => [revealed, before])).toEqual([
    [true, null],
    [false, null]
  ]);
  expect((await close(id, ada)).body.code).toBe('still_voting');

  await rank(cy, 1, 'ABC');
  await isCounted(project);
  const talking = (await read(id, bo)).body as NormingSession;
  expect(talking.status).toBe('discussing');
  expect(talking.tasks.map(({ before }) => before)).toEqual([
    { w: 1, tau: 1 },
    { w: expect.closeTo(1 / 9), tau: expect.closeTo(-1 / 3) }
  ]);
  // Worked by hand: coincidences 11: 4, 22: 6, 33: 4, 13: 2 of 18; distances 36, 144, 36; 1 - 17 * 288 / 7776.
  const first = {
    ...{ tasks: 2, rankings: 6 },
    alpha: { value: expect.closeTo(10 / 27), low: expect.any(Number), high: expect.closeTo(1) },
    w: { value: expect.closeTo(5 / 9), low: expect.closeTo(1 / 9), high: expect.closeTo(1) },
    tau: { value: expect.closeTo(1 / 3), low: expect.closeTo(-1 / 3), high: expect.closeTo(1) }
  };
  expect(talking.first).toEqual(first);

  const corrected = await rank(bo, 1, 'ABC');
  expect(corrected.body).toMatchObject({ version: 2, after_reveal: true });
  const again = (await read(id, cy)).body as NormingSession;
  expect(again.first).toEqual(first);
  expect(again.second).toBeNull();
  expect(again.members.map((member) => member.again)).toEqual([0, 1, 0]);

  const done = (await close(id, ada)).body as NormingSession;
  expect(done).toMatchObject({ status: 'done', first, moved_most: tasks[1]!.id });
  expect(done.second).toMatchObject({ alpha: { value: 1 }, w: { value: 1 }, tau: { value: 1 } });
  expect(done.closed_at).not.toBeNull();
  expect((await close(id, ada)).body.code).toBe('closed');
  // A version after the end changes nothing that was kept.
  await rank(cy, 1, 'CBA');
  expect((await read(id, ada)).body.second).toEqual(done.second);
  const listed = await t.call('GET', `/api/v1/projects/${project}/norming`, { token: cy.token });
  expect(listed.body.items).toMatchObject([{ id, status: 'done', members: 3, tasks: 2, votes: 6 }]);
  const rows = await t.sql(`select action from audit_row where object = $1 order by seq`, [id]);
  expect(rows.map(({ action }) => action)).toEqual(['norming.begin', 'norming.close']);
});

test('nothing of a vote is in any answer before its reveal: answers are the same whatever was voted', async () => {
  const said: string[] = [];
  for (const order of ['ABC', 'CBA']) {
    const { project, ada, bo, cy, begin, rank } = await setUp(1);
    const { id } = (await begin()).body;
    await rank(bo, 0, order);
    const answers = [];
    for (const { token } of [ada, bo, cy]) {
      answers.push((await read(id, { id: '', token })).body);
      answers.push((await t.call('GET', `/api/v1/projects/${project}/norming`, { token })).body);
    }
    const text = JSON.stringify(answers).replaceAll(/"[a-z]+_[\w-]{22}"|"[\w-]{32}"|"\d{4}-[^"]+Z"/g, '"*"');
    said.push(text.replaceAll(/"id":"[^"]+"/g, ''));
  }
  expect(said[0]).toBe(said[1]);
  expect(said[0]).not.toContain('tiers');
});

test('its tasks are for the panel alone, which gets them first; skipping one does not lose it', async () => {
  const { project, tasks, ada, bo, cy, di, begin, rank, next } = await setUp(3);
  expect((await rank(di, 0)).status).toBe(200);
  // Cy was led past the second task, and has it still; it is the panel's anyway.
  expect((await next(cy)).id).toBe(tasks[0]!.id);
  const begun = await begin({ tasks: [tasks[1]!.id] });
  expect(begun.status).toBe(201);
  await isCounted(project);
  expect((await rank(di, 1)).body.code).toBe('assigned');
  expect((await next(di)).id).toBe(tasks[2]!.id);
  expect((await next(bo)).id).toBe(tasks[1]!.id);
  await t.call('POST', `/api/v1/tasks/${tasks[1]!.id}/skip`, { token: ada.token, body: {} });
  const seen: number[] = [];
  for (let task = await next(ada); task; task = await next(ada)) {
    seen.push(tasks.findIndex(({ id }) => id === task.id));
    await rank(ada, seen.at(-1)!);
  }
  expect(seen.toSorted()).toEqual([0, 1, 2].filter((at) => seen.includes(at)));
  expect(seen.at(-1)).toBe(1);
  expect((await read(begun.body.id, ada)).body.tasks[0].my_version).toBe(1);
});

test('who missed a task that was opened early sees no figure of it before they judge, or the session ends', async () => {
  const { tasks, ada, bo, cy, begin, rank } = await setUp(1);
  const { id } = (await begin()).body;
  await rank(ada, 0);
  await rank(bo, 0, 'CBA');
  await t.call('POST', `/api/v1/tasks/${tasks[0]!.id}/reveal`, { token: ada.token });
  const missed = (await read(id, cy)).body as NormingSession;
  expect([missed.status, missed.first, missed.tasks[0]!.before]).toEqual(['discussing', null, null]);
  expect((await read(id, bo)).body.tasks[0].before.tau).toBeCloseTo(-1);
  await close(id, ada);
  expect((await read(id, cy)).body.first.rankings).toBe(2);
});

test('what is refused, and with which sentence', async () => {
  const { project, tasks, ada, bo, cy, di, panel, begin, rank, next } = await setUp(3);
  const viewer = await t.member(project, 'viewer', 'Vi');
  const ids = panel.map(({ id }) => id);
  const refused = async (body: object) => {
    const { status, body: said } = await begin(body);
    return [status, said.code];
  };
  const crowd = Array.from({ length: limits.norming.members_max + 1 }, (_, n) => `person-${n}`);
  expect(await refused({ members: ids.slice(0, 1) })).toEqual([422, 'invalid']);
  expect(await refused({ members: [ids[0], ids[0]] })).toEqual([422, 'invalid']);
  expect(await refused({ members: crowd })).toEqual([422, 'invalid']);
  expect(await refused({ members: [...ids, viewer.id] })).toEqual([422, 'not_a_judge']);
  expect(await refused({ tasks: [] })).toEqual([422, 'invalid']);
  expect(await refused({ tasks: limits.norming.tasks_max + 1 })).toEqual([422, 'invalid']);
  expect(await refused({ tasks: ['task_of_another'] })).toEqual([422, 'invalid']);
  expect(await refused({ tasks: 4 })).toEqual([409, 'too_few_tasks']);
  await rank(bo, 0);
  expect(await refused({ tasks: [tasks[0]!.id] })).toEqual([409, 'judged']);
  // Di may be judging it, wherever they are.
  await rank(di, 0);
  expect((await next(di)).id).toBe(tasks[1]!.id);
  expect(await refused({ tasks: [tasks[1]!.id] })).toEqual([409, 'handed_out']);
  expect(await refused({ tasks: 2 })).toEqual([409, 'too_few_tasks']);
  const begun = await begin({ tasks: 1, members: [ada.id, bo.id] });
  expect(begun.body.tasks.map(({ id }: { id: string }) => id)).toEqual([tasks[2]!.id]);
  expect(await refused({ tasks: [tasks[2]!.id] })).toEqual([409, 'assigned']);
  expect((await begin({}, bo.token)).status).toBe(403);
  expect((await read(begun.body.id, cy)).body.code).toBe('not_on_panel');
  expect((await close(begun.body.id, bo)).status).toBe(403);
  const mine = await t.call('GET', `/api/v1/projects/${project}/norming`, { token: cy.token });
  expect(mine.body.items).toEqual([]);
  expect((await (await setUp(1, 'open')).begin()).body.code).toBe('not_blind');
  await isCounted(project);
});
