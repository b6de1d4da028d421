import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomFrom } from '#domain/random.ts';
import { limits } from '../limits.ts';
import { askerOf, leaseNext, type Asker } from '../tasks/queue.ts';
import { testApp, type TestApp } from '../testing-app.ts';
import { catchUp } from './index.ts';

let t: TestApp;
let db: TestApp['db'];
beforeAll(async () => {
  t = await testApp();
  ({ db } = t);
});
afterAll(() => t.close());

type Row = {
  prompt: string;
  outputs: { text: string; source: string }[];
  ranking?: number[];
  rater?: string;
};

const row = (n: number, sources: string[]): Row => ({
  prompt: `p${n}`,
  outputs: sources.map((source, at) => ({ text: `${n} ${at}`, source }))
});

const change = (project: string, review: object) =>
  t.call('PATCH', `/api/v1/projects/${project}`, { body: { review } });

async function setUp(rows: unknown[], random_share: number, overlap = 2): Promise<string> {
  const project = await t.project({ mode: 'blind', overlap });
  await t.importRows(project, rows);
  await change(project, { order: 'uncertainty', random_share });
  await catchUp(db);
  return project;
}

const next = async (project: string, token: string) =>
  (await t.call('POST', `/api/v1/projects/${project}/tasks/next`, { token })).body;

/** `first`: which of the outputs, in the order of the import, is better. */
const rank = async (task: { id: string; outputs: { id: string }[] }, token: string, first = 0) => {
  const ids = task.outputs.map(({ id }) => id);
  const tiers = [[ids[first]!], [ids[1 - first]!]];
  const { status } = await t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token, body: { tiers } });
  expect(status).toBe(200);
};

async function values(project: string): Promise<{ number: number; value: number }[]> {
  const found = await db.execute<{ number: number; value: number }>(
    sql`select number, value from task_uncertainty where project_id = ${project} order by value desc, number`
  );
  return found.rows;
}

async function fit(project: string) {
  const found = await db.execute<{ names: string[]; judgements: number; scored_to: number }>(
    sql`select fit->'names' as names, judgements, scored_to from strength_fit where project_id = ${project}`
  );
  return found.rows[0]!;
}

/** What would be handed out, without handing it out. */
async function draw(asker: Asker, random: () => number) {
  const found: { number: number; picked: string }[] = [];
  await db
    .transaction(async (tx) => {
      const id = await leaseNext(tx, asker, [], random);
      const { rows } = await tx.execute<{ number: number; picked: string }>(
        sql`select number, picked from lease where task_id = ${id} and user_id = ${asker.userId}`
      );
      found.push(...rows);
      tx.rollback();
    })
    .catch(() => {});
  return found[0]!;
}

/** Sources of which much is known, little, and nothing. */
function mixed(): unknown[] {
  const known = Array.from({ length: 12 }, (_, n) => ({ ...row(n, ['a', 'b']), ranking: [[0], [1]] }));
  const little = { ...row(20, ['a', 'c']), ranking: [[0], [1]] };
  return [
    ...known,
    little,
    row(30, ['a', 'b']),
    row(31, ['a', 'c']),
    row(32, ['c', 'd']),
    row(33, ['a', 'b'])
  ];
}

test('with no random share tasks come strictly by uncertainty: what is known least first, then by number', async () => {
  const project = await setUp(mixed(), 0, 2);
  const expected = await values(project);
  expect(expected).toHaveLength(17);
  expect(expected[0]!.number).toBe(16);
  const { id, token } = await t.member(project, 'reviewer');
  const numbers: number[] = [];
  for (let task = await next(project, token); task; task = await next(project, token)) {
    numbers.push(task.number);
    await rank(task, token);
  }
  expect(numbers.slice(0, 3)).toEqual(expected.slice(0, 3).map(({ number }) => number));
  expect(numbers.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 17 }, (_, n) => n + 1));
  const picked = await db.execute(sql`select distinct picked from lease where user_id = ${id}`);
  expect(picked.rows).toEqual([{ picked: 'uncertain' }]);
});

test('two who disagree make a task the next at once; its reveal takes it out of the order', async () => {
  const rows = Array.from({ length: 6 }, (_, n) => row(n, ['a', 'b']));
  const project = await setUp(rows, 0, 3);
  const [ada, bo, cleo, dan] = await Promise.all([1, 2, 3, 4].map(() => t.member(project, 'reviewer')));
  const all = (await t.call('GET', `/api/v1/projects/${project}/tasks`)).body.items;
  await rank(all[4], ada!.token, 0);
  await rank(all[2], ada!.token, 0);
  await rank(all[2], bo!.token, 0);
  await rank(all[4], bo!.token, 1);
  expect((await values(project))[0]!.number).toBe(5);
  expect((await values(project)).at(-1)!.number).toBe(3);
  const task = await next(project, cleo!.token);
  expect(task.number).toBe(5);
  await rank(task, cleo!.token);
  expect((await values(project)).map(({ number }) => number)).not.toContain(5);
  await catchUp(db);
  expect((await next(project, dan!.token)).number).toBe(1);
});

test('a correction and an undo value the task again', async () => {
  const project = await setUp([row(1, ['a', 'b']), row(2, ['a', 'b'])], 0, 3);
  const [ada, bo] = await Promise.all([1, 2].map(() => t.member(project, 'reviewer')));
  const [task] = (await t.call('GET', `/api/v1/projects/${project}/tasks`)).body.items;
  const value = async () => (await values(project)).find(({ number }) => number === 1)!.value;
  const before = await value();
  await rank(task, ada!.token, 0);
  await rank(task, bo!.token, 1);
  const opposed = await value();
  expect(opposed).toBeGreaterThan(before);
  await rank(task, bo!.token, 0);
  expect(await value()).toBeLessThan(before);
  await t.call('POST', `/api/v1/tasks/${task.id}/ranking/undo`, { token: bo!.token });
  expect(await value()).toBe(opposed);
  await t.call('POST', `/api/v1/tasks/${task.id}/ranking/undo`, { token: ada!.token });
  expect(await value()).toBe(before);
});

/** Chi-squared of counts that should be equal. */
function unevenness(numbers: number[], fitting: number[]): number {
  const expected = numbers.length / fitting.length;
  const counts = fitting.map((number) => numbers.filter((one) => one === number).length);
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

test('with a random share of 1 every task that fits is as likely, also beside gaps', async () => {
  const rows = Array.from({ length: 20 }, (_, n) => row(n, ['a', 'b']));
  const project = await setUp(rows, 1, 2);
  const { id, token } = await t.member(project, 'reviewer');
  const random = randomFrom(7);
  const asker = await askerOf(db, project, id);
  const drawn = async () => {
    const numbers: number[] = [];
    for (let n = 0; n < 200; n++) {
      const { number, picked } = await draw(asker, random);
      expect(picked).toBe('random');
      numbers.push(number);
    }
    return numbers;
  };
  // 99.9 % of chi-squared with 19 degrees of freedom, then with 9.
  expect(
    unevenness(
      await drawn(),
      Array.from({ length: 20 }, (_, n) => n + 1)
    )
  ).toBeLessThan(43.82);
  const all = (await t.call('GET', `/api/v1/projects/${project}/tasks`)).body.items;
  for (const task of all.slice(5, 15)) await rank(task, token);
  const left = [1, 2, 3, 4, 5, 16, 17, 18, 19, 20];
  expect(unevenness(await drawn(), left)).toBeLessThan(27.88);
}, 120_000);

test('of the tasks that are handed out, the stated share is random', async () => {
  const project = await setUp(mixed(), 0.25, 2);
  const { id } = await t.member(project, 'reviewer');
  const random = randomFrom(3);
  const asker = await askerOf(db, project, id);
  let count = 0;
  for (let n = 0; n < 200; n++) count += Number((await draw(asker, random)).picked === 'random');
  // 50, within three and a half standard deviations.
  expect(Math.abs(count - 50)).toBeLessThan(22);
}, 120_000);

test('exports say why a task was handed out; nothing that a reviewer gets says it, or how uncertain it is', async () => {
  const project = await setUp([row(1, ['a', 'b']), row(2, ['a', 'b'])], 1, 1);
  const { id, token } = await t.member(project, 'reviewer');
  const task = await next(project, token);
  const others = (await t.call('GET', `/api/v1/projects/${project}/tasks`)).body.items;
  const opened = others.find((one: { id: string }) => one.id !== task.id);
  const read = (path: string) => t.call('GET', path, { token }).then(({ response }) => response.text());
  const seen = [JSON.stringify(task), await read(`/api/v1/projects/${project}/tasks`)];
  await rank(task, token);
  await t.call('DELETE', `/api/v1/tasks/${opened.id}/lease`, { token });
  await rank(opened, token);
  seen.push(await read(`/api/v1/tasks/${task.id}`), await read(`/api/v1/tasks/${task.id}/rankings`));
  for (const text of seen) expect(text).not.toMatch(/picked|uncertain|"value"/);
  const { response } = await t.call('GET', `/api/v1/projects/${project}/pairs?format=trl`);
  const lines = (await response.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ task_id, raters, picked }) => ({ task_id, raters, picked }))).toEqual(
    others.map((one: { id: string }) => ({
      ...{ task_id: one.id, raters: [id] },
      picked: [one.id === task.id ? 'random' : null]
    }))
  );
});

test('the order and the share are the owner’s to set, within bounds', async () => {
  const project = await t.project({ mode: 'blind', overlap: 2 });
  const path = `/api/v1/projects/${project}`;
  const read = async () => (await t.call('GET', path)).body.review;
  expect(await read()).toMatchObject({ order: 'arrival', random_share: 0.2 });
  expect((await change(project, { order: 'uncertainty' })).status).toBe(200);
  expect((await change(project, { random_share: 0.35 })).status).toBe(200);
  expect(await read()).toMatchObject({ order: 'uncertainty', random_share: 0.35, strength: false });
  for (const review of [{ random_share: 1.01 }, { random_share: -0.1 }, { order: 'fun' }])
    expect((await change(project, review)).status).toBe(422);
  const { token } = await t.member(project, 'reviewer');
  const body = { review: { order: 'arrival' } };
  expect((await t.call('PATCH', path, { token, body })).status).toBe(403);
});

test('what was judged while tasks came by number counts once they come by uncertainty again', async () => {
  const project = await setUp([row(1, ['a', 'b']), row(2, ['a', 'b'])], 0, 3);
  const [ada, bo] = await Promise.all([1, 2].map(() => t.member(project, 'reviewer')));
  const all = (await t.call('GET', `/api/v1/projects/${project}/tasks`)).body.items;
  await change(project, { order: 'arrival' });
  await catchUp(db);
  await rank(all[1], ada!.token, 0);
  await rank(all[1], bo!.token, 1);
  expect((await values(project)).map(({ number }) => number)).toEqual([1, 2]);
  await change(project, { order: 'uncertainty' });
  await catchUp(db);
  expect((await values(project)).map(({ number }) => number)).toEqual([2, 1]);
});

test('a server that is killed between two steps goes on there; tasks that arrive later are valued by the fit there is', async () => {
  const { tasks_at_once, new_judgements_min } = limits.priority;
  const count = 2 * tasks_at_once + 100;
  const rows = Array.from({ length: count }, (_, n) => row(n, ['a', 'b']));
  const project = await t.project({ mode: 'blind', overlap: 2 });
  await t.importRows(project, rows);
  await catchUp(db);
  // Turned on behind the server's back, so that its own check does not come first: it asks every few seconds.
  await db.execute(sql`update project set task_order = 'uncertainty' where id = ${project}`);
  let asked = 0;
  await catchUp(db, () => ++asked > 3);
  expect((await fit(project)).scored_to).toBeGreaterThanOrEqual(tasks_at_once);
  await catchUp(db);
  expect(await values(project)).toHaveLength(count);
  await t.importRows(project, [row(-1, ['a', 'c'])]);
  await catchUp(db);
  expect(await values(project)).toHaveLength(count + 1);
  expect((await fit(project)).judgements).toBe(0);

  const voted = Array.from({ length: new_judgements_min - 1 }, (_, n) => ({
    ...row(-2 - n, ['a', 'b']),
    ranking: [[0], [1]]
  }));
  await t.importRows(project, voted);
  await catchUp(db);
  expect(await fit(project)).toMatchObject({ judgements: 0, names: [] });
  await t.importRows(project, [{ ...row(-100, ['a', 'b']), ranking: [[0], [1]] }]);
  await catchUp(db);
  const now = await fit(project);
  expect(now).toMatchObject({ judgements: new_judgements_min, names: ['a', 'b'] });
  expect(now.scored_to).toBe(count + 1 + new_judgements_min);
  const [most] = await values(project);
  expect(most!.number).toBe(count + 1);
}, 120_000);

test('no more sources are fitted than the limit, those that are compared most', async () => {
  const { sources_max } = limits.priority;
  const rows = Array.from({ length: sources_max + 4 }, (_, n) => ({
    ...row(n, ['often', `s${n}`]),
    ranking: [[0], [1]]
  }));
  const project = await setUp([...rows, ...rows.slice(0, 3).map((one) => ({ ...one, prompt: 'x' }))], 0);
  const { names } = await fit(project);
  expect(names).toHaveLength(sources_max);
  expect(names).toEqual(expect.arrayContaining(['often', 's0', 's1', 's2']));
});

test('beyond the tasks that are looked at it goes on by number; only the latest judged tasks are fitted', async () => {
  const { tasks_fitted_max } = limits.priority;
  const { uncertain_looked_at_max } = limits.tasks;
  const count = tasks_fitted_max + 10;
  const project = await t.project({ mode: 'blind', overlap: 2 });
  const { id, token } = await t.member(project, 'reviewer');
  const fill = (text: string, values: unknown[]) => db.$client.query(text, values);
  await fill(
    `insert into task (id, project_id, number, prompt, prompt_hash, content_hash, status, judged)
     select 'many_' || n, $1, n, '[]', n, n, 'open', true from generate_series(1, $2::int) n`,
    [project, count]
  );
  await fill(
    `insert into output (id, task_id, position, text, source)
     select 'many_' || n || '_' || at, 'many_' || n, at, '', case when n <= 10 then 'old' else 'ab' end || at
     from generate_series(1, $1::int) n, generate_series(0, 1) at`,
    [count]
  );
  await fill(
    `insert into ranking (id, task_id, kind, rater, version, tiers, verdict, ratings)
     select 'many_' || n, 'many_' || n, 'import', 'votes', 1, jsonb_build_array(jsonb_build_array('many_' || n || '_1'),
       jsonb_build_array('many_' || n || '_0')), 'ranked', '{}' from generate_series(1, $1::int) n`,
    [count]
  );
  await fill(
    `insert into task_tally (project_id, total, wanted, judgements) values ($1, $2, 2 * $2::int, $2)`,
    [...[project, count]]
  );
  await change(project, { order: 'uncertainty', random_share: 0 });
  await catchUp(db);
  expect((await fit(project)).names).toEqual(['ab0', 'ab1']);
  expect((await values(project)).slice(0, 10).map(({ number }) => number)).toEqual([
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
  ]);
  await fill(
    `insert into lease (task_id, user_id, project_id, number, expires_at, version)
     select 'many_' || n, $1, $2, n, now(), 1 from generate_series(1, $3::int) n`,
    [id, project, uncertain_looked_at_max]
  );
  expect((await next(project, token)).number).toBe(uncertain_looked_at_max + 1);
  const { rows } = await fill(`select picked from lease where user_id = $1 and version = 0`, [id]);
  expect(rows).toEqual([{ picked: 'arrival' }]);
}, 120_000);
