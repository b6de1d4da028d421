// A project of a million tasks: the next task, lists, filters, search and progress through the whole server on a fresh embedded
// PostgreSQL, and two hundred people who ask for their next task at once; then the same with the most uncertain first.
//   node bench/queue.ts [tasks]
import setup from '../server/db/testing-cluster.ts';
import { connect } from '../server/db/connect.ts';
import { testApp } from '../server/testing-app.ts';

const count = Number(process.argv[2] ?? 1_000_000);
const PEOPLE = 200;
const stopCluster = await setup();
const t = await testApp();
const db = connect({ connectionString: t.config.databaseUrl! }, 2);
const project = await t.project({ mode: 'blind', overlap: 2 });
const people = await Promise.all(Array.from({ length: PEOPLE }, () => t.member(project, 'reviewer')));
const ada = people[0]!;

const loading = performance.now();
await fill();
console.log(`${count} tasks of two outputs in ${((performance.now() - loading) / 1_000).toFixed(0)} s.`);

const root = `/api/v1/projects/${project}`;
const tasks = `${root}/tasks`;
const owner = t.owner;
const times = 20;
await measure('the very first, half the queue behind her', () => call('POST', `${tasks}/next`, ada.token), 1);
await measure(
  'next task, each for another person',
  (n) => call('POST', `${tasks}/next`, people[n]!.token),
  times
);
await measure('next task after that', (n) => call('POST', `${tasks}/next`, people[n]!.token), times);
const givings: [string, object][] = [
  ['give 1,000 tasks to three people', { people: people.slice(0, 3).map(({ id }) => id) }],
  ['give 1,000 tasks to a specialty', { specialty: 'thorax' }],
  ['give 1,000 tasks to everybody', { specialty: null }]
];
for (const [name, whom] of givings)
  await measure(
    name,
    (n) => {
      const from = Math.floor(count / 2) + 1_000 * n + 1;
      return call('POST', `${tasks}/assign`, owner, { tasks: `${from}-${from + 999}`, ...whom });
    },
    5
  );
await call('POST', `${tasks}/assign`, owner, { tasks: `${count - 500}-${count}`, people: [ada.id] });
await call('POST', `${tasks}/assign`, owner, { tasks: `${count - 900}-${count - 501}`, specialty: 'thorax' });
await call('POST', `${tasks}/assign`, owner, { tasks: '1-10', specialty: null });
await measure('led back over half the queue, once', () => call('POST', `${tasks}/next`, ada.token), 1);
const lists: [string, string][] = [
  ['given to one person', `&person=${ada.id}`],
  ['of one specialty', '&specialty=thorax'],
  ['first page', ''],
  ['a page near the end', `&cursor=${count - 1_000}`],
  ['revealed ones', '&status=revealed'],
  ['mine, done', '&mine=done'],
  ['mine, to do', '&mine=todo'],
  ['words that one task has', `&q=number ${count - 7} here`],
  ['words that no task has', '&q=neverseenbefore'],
  ['a word that all have', '&q=radiograph']
];
for (const [name, query] of lists)
  await measure(`list: ${name}`, () => call('GET', `${tasks}?limit=50${query}`, ada.token), 10);
await measure('progress, of a reviewer', () => call('GET', `${root}/overview`, ada.token), 10);
await measure('progress, of an owner', () => call('GET', `${root}/overview`, owner), 10);

await allAtOnce();

const overlap = (to: number) => t.call('PATCH', root, { body: { review: { overlap: to } } });
await measure('overlap raised', () => overlap(3), 1);
await measure(
  'led back over half the queue by that, once',
  () => call('POST', `${tasks}/next`, ada.token),
  1
);
await measure('overlap lowered again', () => overlap(2), 1);
await measure('overlap lowered too far: refused', () => overlap(1), 1);

await t.call('PATCH', root, { body: { review: { order: 'uncertainty' } } });
const valuing = performance.now();
await measure(
  'next task and its judgement, while all are valued',
  async (n) => judge(people[n]!.token),
  times
);
await valued();
console.log(
  `All open tasks valued ${((performance.now() - valuing) / 1_000).toFixed(0)} s after the change.`
);
await db.$client.query('update lease set expires_at = now() where version = 0');
await db.$client.query('vacuum analyze task_uncertainty');
await measure(
  'by uncertainty, each for another person',
  (n) => call('POST', `${tasks}/next`, people[n + 1]!.token),
  times
);
await measure('by uncertainty, the next and its judgement', (n) => judge(people[n + 1]!.token), times);
await measure(
  'by uncertainty, half the queue behind her',
  () => call('POST', `${tasks}/next?after=none`, ada.token),
  times
);
await measure(
  'by uncertainty, progress of a reviewer',
  () => call('GET', `${root}/overview`, people[1]!.token),
  10
);
await allAtOnce();
await db.$client.end();
await t.close();
await stopCluster();

async function allAtOnce(): Promise<void> {
  const started = performance.now();
  const waits: number[] = [];
  const given = await Promise.all(
    people.map(async ({ token }) => {
      const task = await call('POST', `${tasks}/next?after=none`, token);
      waits.push(performance.now() - started);
      return task.id as string;
    })
  );
  const holders = new Map<string, number>();
  for (const id of given) holders.set(id, (holders.get(id) ?? 0) + 1);
  say(`${PEOPLE} people at once`, waits);
  console.log(`Most people with one task of overlap 2: ${Math.max(...holders.values())}.`);
}

async function judge(token: string): Promise<void> {
  const task = await call('POST', `${tasks}/next`, token);
  await call('PUT', `/api/v1/tasks/${task.id}/ranking`, token, { tiers: [[task.outputs[0].id]] });
}

/** Once every task has its value by the fit of its sources. */
async function valued(): Promise<void> {
  for (;;) {
    const { rows } = await db.$client.query('select scored_to from strength_fit where project_id = $1', [
      project
    ]);
    if (rows[0]?.scored_to === count) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function call(method: string, path: string, token: string, sent?: unknown): Promise<any> {
  const { status, body } = await t.call(method, path, { token, body: sent });
  if (status >= 300) throw new Error(`${method} ${path}: ${JSON.stringify(body)}`);
  return body;
}

async function measure(what: string, ask: (n: number) => Promise<unknown>, rounds: number): Promise<void> {
  const waits: number[] = [];
  for (let n = 0; n < rounds; n++) {
    const from = performance.now();
    await ask(n);
    waits.push(performance.now() - from);
  }
  say(what, waits);
}

function say(what: string, waits: number[]): void {
  const sorted = waits.toSorted((a, b) => a - b);
  const at = (quantile: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]!.toFixed(0);
  console.log(`${what.padEnd(40)} p50 ${at(0.5).padStart(6)} ms   p95 ${at(0.95).padStart(6)} ms`);
}

/** Tasks as an import leaves them, of which half have been ranked by the first person and one in ten is revealed. */
async function fill(): Promise<void> {
  const sql = (text: string, values: unknown[]) => db.$client.query(text, values);
  await sql(
    `insert into task (id, project_id, number, prompt, prompt_hash, content_hash, status, raters, judged, overlap)
     select 'task_' || n, $1, n, jsonb_build_array(jsonb_build_object('role', 'user', 'content',
       'Describe the radiograph with the number ' || n || ' here.')), md5(n::text), md5(n::text),
       case when n % 10 = 0 then 'revealed' else 'open' end, case when n % 10 = 0 then 2 when n <= $2 / 2 then 1 else 0 end,
       n % 10 = 0 or n <= $2 / 2, case when n % 10 = 0 then 2 end
     from generate_series(1, $2::int) n`,
    [project, count]
  );
  await sql(
    `insert into output (id, task_id, position, text, source)
     select 'output_' || n || '_' || at, 'task_' || n, at,
       'The lung is clear on the left side in case ' || n || ', as ' || md5(n::text || at) || ' says.', 'model-' || (n + at) % 3
     from generate_series(1, $1::int) n, generate_series(0, 1) at`,
    [count]
  );
  await sql(
    `insert into lease (task_id, user_id, project_id, number, expires_at, version, open)
     select 'task_' || n, $1, $3, n, now(), 1, n % 10 > 0 from generate_series(1, $2::int / 2) n`,
    [ada.id, count, project]
  );
  await sql(
    `insert into ranking (id, task_id, kind, user_id, rater, version, tiers, verdict, ratings)
     select 'ranking_' || n, 'task_' || n, 'review', $1::text, $1::text, 1,
       jsonb_build_array(jsonb_build_array('output_' || n || '_1'), jsonb_build_array('output_' || n || '_0')), 'ranked', '{}'
     from generate_series(1, $2::int / 2) n`,
    [ada.id, count]
  );
  await sql(
    `insert into task_tally (project_id, total, revealed, wanted, ranked, judgements)
     select project_id, count(*), count(*) filter (where status = 'revealed'), 2 * count(*), sum(raters), $2
     from task where project_id = $1 group by 1`,
    [project, count / 2]
  );
  await sql('vacuum analyze', []);
}
