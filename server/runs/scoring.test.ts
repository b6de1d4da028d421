import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eq, sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { marginUncertainty } from '#domain/margin.ts';
import type { Run } from '#wire/run.ts';
import { createApp } from '../app.ts';
import { adapterFolder } from '../artifacts/adapters.ts';
import { readConfig } from '../config.ts';
import { limits } from '../limits.ts';
import type { Services } from '../services.ts';
import { taskMargin } from '../tasks/tables.ts';
import { findTasks } from '../tasks/index.ts';
import { marginsOf, scorerOf, scoringFolder, type Scorer } from './margins.ts';
import { readText } from './model-folder.ts';
import { findCommand } from './process.ts';
import { findRun } from './rows.ts';
import { Scoring } from './scoring.ts';
import { model } from './tables.ts';
import { trainerBuilt } from './testing-model.ts';
import { runsApp, type RunsApp } from './testing-runs.ts';
import { scoresOf, type OutputScore } from './testing-scores.ts';
import { score } from './trainer.ts';

/** The real trainer; `score` waits while the gate is closed, for a ticket each time. */
const REAL = readConfig({ CONCORD_TRAINER: process.env.CONCORD_TRAINER }).trainer;
let gate: string;
let t: RunsApp;
let project: string;
let dataset: string;
beforeAll(async () => {
  if (!trainerBuilt) return;
  gate = await mkdtemp(join(tmpdir(), 'concord-gate-'));
  const trainer = join(gate, 'trainer');
  await writeFile(
    trainer,
    `#!/bin/sh
if [ "$1" = score ]; then
  while [ -e ${gate}/closed ]; do rm ${gate}/ticket 2>/dev/null && break; sleep 0.02; done
fi
exec ${REAL} "$@"
`,
    { mode: 0o700 }
  );
  t = await runsApp({ trainer });
  ({ project, dataset } = await t.dataset(24, { overlap: 3 }));
  await t.call('PATCH', `/api/v1/projects/${project}`, {
    body: { review: { order: 'uncertainty', random_share: 0 } }
  });
});
afterAll(async () => {
  await t?.close();
  if (gate) await rm(gate, { recursive: true });
});
afterEach(() => void vi.restoreAllMocks());

const built = test.skipIf(!trainerBuilt);
const close = () => writeFile(join(gate, 'closed'), '');
const open = () => rm(join(gate, 'closed'), { force: true });
async function admitOne(): Promise<void> {
  await writeFile(join(gate, 'ticket'), '');
  await expect.poll(() => existsSync(join(gate, 'ticket'))).toBe(false);
}
const scoringNow = () => findCommand(` --out ${scoringFolder(t.config)}/`);
const soon = { timeout: 20_000, interval: 50 };

async function train(more: object = {}, hyperparameters: object = {}): Promise<Run> {
  const given = { max_steps: 6, groups_per_step: 4, learning_rate: 1e-2, ...hyperparameters };
  const { body } = await t.start({
    ...{ dataset, model: t.model, objective: 'dpo', hyperparameters: given },
    ...more
  });
  return t.ended(body.id);
}

type Row = { id: string; number: number; status: string; adapter: string | null; margin: number | null };
async function rows(of = project): Promise<Row[]> {
  const { rows } = await t.db.execute<Row>(sql`
    select t.id, t.number, t.status, m.adapter_id as adapter, m.margin from task t left join task_margin m on m.task_id = t.id
    where t.project_id = ${of} order by t.number`);
  return rows;
}
const allScoredBy = (adapter: string | null) =>
  expect
    .poll(
      async () => (await rows()).filter(({ status, adapter: by }) => status === 'open' && by !== adapter),
      soon
    )
    .toEqual([]);

const topics = Array.from({ length: 8 }, (_, n) => ({
  prompt: `Which is ${n}?`,
  outputs: [`It is ${n * 3}, no ${'doubt '.repeat(n)}`, `Perhaps ${n}.`, `None of ${7 - n}`]
}));

const BETA = 0.1;
const byDpo = (policy: OutputScore, reference: OutputScore) => BETA * (policy.logp - reference.logp);

/** Every margin is the gap between the two best outputs by this reward; `reference`: an adapter, or the base. */
async function expectMarginsOf(adapter: string, reference: string | null, reward = byDpo): Promise<Row[]> {
  const scored = (await rows()).filter(({ margin }) => margin !== null);
  const tasks = await findTasks(
    t.db,
    scored.map(({ id }) => id)
  );
  const by = (id: string | null) =>
    scoresOf(REAL, join(t.models, 'tiny'), id && adapterFolder(t.config, id), tasks);
  const [policies, references] = [await by(adapter), await by(reference)];
  for (const { id, margin } of scored) {
    const rewards = policies.get(id)!.map((policy, at) => reward(policy, references.get(id)![at]!));
    const [best, second] = rewards.sort((a, b) => b - a);
    expect(margin).toBeCloseTo(best! - second!, 5);
  }
  return scored;
}

let first: Run;
let reviewer: string;
built(
  'after a DPO run its adapter scores the open tasks, and the most uncertain by that come first',
  async () => {
    const long = { prompt: 'Long?', outputs: ['It is. '.repeat(100), 'No.'] };
    const steers = { prompt: 'Ends?', outputs: ['Yes </s>', 'No.'] };
    const single = { prompt: 'One?', outputs: ['Yes.'] };
    await t.importRows(project, [...topics, long, steers, single]);
    first = await train();
    await allScoredBy(first.adapter);
    const scored = await expectMarginsOf(first.adapter!, null);
    expect(scored.map(({ number }) => number)).toEqual(Array.from({ length: 32 }, (_, n) => n + 1));
    expect(new Set(scored.map(({ margin }) => margin!.toFixed(6))).size).toBeGreaterThan(16);
    const order = scored
      .map(({ number, margin }) => ({ number, value: marginUncertainty(margin!) }))
      .sort((a, b) => b.value - a.value || a.number - b.number);
    ({ token: reviewer } = await t.member(project, 'reviewer'));
    const next = async () =>
      (await t.call('POST', `/api/v1/projects/${project}/tasks/next`, { token: reviewer })).body;
    for (const { number } of order.slice(0, 3)) {
      const task = await next();
      expect(task.number).toBe(number);
      await t.call('POST', `/api/v1/tasks/${task.id}/skip`, { token: reviewer, body: {} });
    }
  }
);

built('what people say of a task counts beside its margin at once', async () => {
  const task = (await rows())[24]!;
  const { body } = await t.call('GET', `/api/v1/tasks/${task.id}`);
  const ids = body.outputs.map(({ id }: { id: string }) => [id]);
  for (const tiers of [ids, ids.toReversed()]) {
    const { token } = await t.member(project, 'reviewer');
    const given = { token, body: { tiers } };
    expect((await t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, given)).status).toBe(200);
  }
  const { rows: found } = await t.db.execute<{ value: number }>(
    sql`select value from task_uncertainty where task_id = ${task.id}`
  );
  expect(found[0]!.value).toBeCloseTo((1 + marginUncertainty(task.margin!) / 2) / 1.5, 12);
});

built('the owner is told how far it is; no reviewer hears of it, or of a margin', async () => {
  const overview = `/api/v1/projects/${project}/overview`;
  const { body } = await t.call('GET', overview);
  expect(body.work.scored).toEqual({ adapter: first.name, tasks: 32 });
  const [task] = await rows();
  for (const path of [overview, `/api/v1/projects/${project}/tasks`, `/api/v1/tasks/${task!.id}`]) {
    const { response } = await t.call('GET', path, { token: reviewer });
    expect(await response.text()).not.toMatch(/scored|margin|reward/);
  }
  const arrival = await t.project();
  expect((await t.call('GET', `/api/v1/projects/${arrival}/overview`)).body.work.scored).toBeNull();
});

built(
  'a run that starts ends the scoring; its adapter replaces the one before, and is compared with its own reference',
  async () => {
    await close();
    await t.importRows(project, [{ prompt: 'Later?', outputs: ['Now.', 'Never.'] }]);
    await expect.poll(scoringNow, soon).not.toBeNull();
    const { body } = await t.start({
      ...{ dataset, model: t.model, objective: 'dpo', parent_adapter: first.adapter },
      hyperparameters: { max_steps: 100_000, groups_per_step: 4, learning_rate: 1e-2 }
    });
    await t.until(body.id, ({ step }) => step > 2);
    expect(scoringNow()).toBeNull();
    await t.call('POST', `/api/v1/runs/${body.id}/cancel`);
    await t.ended(body.id);
    await expect.poll(scoringNow, soon).not.toBeNull();
    const second = await train({ parent_adapter: first.adapter });
    expect(second.status).toBe('done');
    // Dropped before the first is scored by the other.
    await expect.poll(async () => (await rows()).filter(({ adapter }) => adapter), soon).toEqual([]);
    // Where two people disagreed that counts alone again; all others have no value.
    const { rows: values } = await t.db.execute(
      sql`select number, value from task_uncertainty where project_id = ${project}`
    );
    expect(values).toEqual([{ number: 25, value: 1 }]);
    await open();
    await allScoredBy(second.adapter);
    await expectMarginsOf(second.adapter!, first.adapter);
  }
);

built('an adapter of a loss without a reference scores by the mean over tokens', async () => {
  const { adapter } = await train({}, { loss_type: 'simpo', beta: 2 });
  await allScoredBy(adapter);
  await expectMarginsOf(adapter!, null, ({ logp, tokens }) => (2 * logp) / tokens);
});

built('a reveal drops the margin', async () => {
  const { id } = (await rows())[30]!;
  expect((await t.call('POST', `/api/v1/tasks/${id}/reveal`)).status).toBe(204);
  expect((await rows())[30]).toMatchObject({ id, status: 'revealed', adapter: null });
});

const services = () => ({ config: t.config, db: t.db }) as unknown as Services;
const findAdapter = async (_: unknown, id: string) => ({
  ...{ id, projectId: project, modelId: t.model },
  folder: adapterFolder(t.config, id)
});

/** By a server of this test's own, until it has nothing more to do. */
async function scoreAll(scoring: Scoring, isDone: () => Promise<boolean>): Promise<void> {
  const stop = new AbortController();
  const working = scoring.work(stop.signal);
  await expect.poll(isDone, soon).toBe(true);
  stop.abort();
  await working;
}
const unscored = async () =>
  (await rows()).filter(({ status, adapter }) => status === 'open' && !adapter).length;

built(
  'a server that ends in the middle goes on with the tasks that are left, and ends what a killed one left scoring',
  async () => {
    await close();
    const more = Array.from({ length: 40 }, (_, n) => ({ prompt: `More ${n}`, outputs: ['a', `b${n}`] }));
    await t.importRows(project, more);
    await expect.poll(scoringNow, soon).not.toBeNull();
    // Of an adapter without a reference each lot is scored once.
    await admitOne();
    await expect.poll(unscored, soon).toBe(40 - limits.scoring.tasks_at_once);
    await expect.poll(scoringNow, soon).not.toBeNull();
    await t.app.close();
    expect(scoringNow()).toBeNull();
    const kept = () =>
      t.db.execute<{ id: string; xmin: string }>(sql`select task_id as id, xmin::text from task_margin`);
    const before = (await kept()).rows;

    const out = join(scoringFolder(t.config), 'policy.safetensors');
    const lost = spawn(t.config.trainer, ['score', '--model', 'none', '--groups', 'none', '--out', out]);
    const ended = once(lost, 'exit');
    await expect.poll(scoringNow).not.toBeNull();
    const next = await createApp(t.config, () => {});
    expect((await ended)[1]).toBe('SIGKILL');
    await open();
    await expect.poll(unscored, soon).toBe(0);
    expect((await kept()).rows).toEqual(expect.arrayContaining(before));
    await next.close();
  }
);

built('an adapter that cannot score is tried again later, and logged once', async () => {
  const said: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((line) => (said.push(String(line)), true));
  vi.useFakeTimers({ toFake: ['Date'] });
  await t.db.delete(taskMargin);
  let tries = 0;
  const scoring = new Scoring(services(), async (db, id) => {
    tries++;
    return findAdapter(db, id);
  });
  const inAMoment = () => new Promise<boolean>((resolve) => setTimeout(resolve, 200, true));
  const later = () => vi.setSystemTime(Date.now() + (limits.scoring.retry_minutes + 1) * 60_000);
  const [there, gone] = [join(t.models, 'tiny'), join(t.models, 'gone')];
  await rename(there, gone);
  await scoreAll(scoring, async () => tries === 1);
  await scoreAll(scoring, inAMoment);
  expect(tries).toBe(1);
  later();
  await scoreAll(scoring, async () => tries === 2);
  expect(said.filter((line) => line.includes('an adapter scores no tasks'))).toHaveLength(1);
  await rename(gone, there);
  await scoreAll(scoring, inAMoment);
  expect(await unscored()).toBeGreaterThan(0);
  later();
  await scoreAll(scoring, async () => (await unscored()) === 0);
  vi.useRealTimers();
});

built('no more open tasks have a margin at one time than the limit', async () => {
  const adapter = (await rows()).find((row) => row.adapter)!.adapter!;
  const { tasks_scored_max } = limits.scoring;
  await t.db.delete(taskMargin);
  await t.db.execute(sql`insert into task_margin (task_id, project_id, adapter_id)
    select 'other_' || n, ${project}, ${adapter} from generate_series(4, ${tasks_scored_max}::int) n`);
  const count = () => t.db.$count(taskMargin, eq(taskMargin.projectId, project));
  await scoreAll(new Scoring(services(), findAdapter), async () => (await count()) === tasks_scored_max);
  expect((await rows()).filter((row) => row.adapter)).toHaveLength(3);
});

built('a model that would take too much of the free memory scores nothing', async () => {
  const row = (await findRun(t.db, first.id))!;
  const inFp8 = { ...row, hyperparameters: { ...row.hyperparameters, load_in_fp8: true } };
  expect((await scorerOf(services(), findAdapter, inFp8)).policy.slice(-2)).toEqual(['--quantize', 'fp8']);
  const parameters = (limits.scoring.memory_share_max * process.availableMemory()) / 2;
  await t.db.update(model).set({ facts: sql`facts || ${JSON.stringify({ parameters })}::jsonb` });
  await expect(scorerOf(services(), findAdapter, row)).rejects.toThrow('takes more memory');
  const quantized = { ...row, hyperparameters: { ...row.hyperparameters, load_in_4bit: true } };
  expect((await scorerOf(services(), findAdapter, quantized)).policy).toEqual([
    ...['--model', join(t.models, 'tiny'), '--adapter', adapterFolder(t.config, first.adapter!)],
    ...['--quantize', 'nf4']
  ]);
});

built('a task of more tokens than go through a model at once is not scored', async () => {
  const run = (await findRun(t.db, first.id))!;
  const scorer: Scorer = {
    ...{ adapterId: run.id, policy: [], reference: null, beta: 1, lengthMax: 1e9 },
    text: await readText(join(t.models, 'tiny'))
  };
  const [task] = await findTasks(t.db, [(await rows())[0]!.id]);
  const long = {
    ...task!,
    prompt: [{ role: 'user' as const, content: 'x'.repeat(limits.scoring.task_tokens_max) }]
  };
  const margins = await marginsOf(t.config, scorer, [long], new AbortController().signal);
  expect([...margins]).toEqual([[task!.id, null]]);
});

test('a trainer that hangs over a score is ended and named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'concord-hanging-'));
  const trainer = join(folder, 'hangs');
  await writeFile(trainer, '#!/bin/sh\nexec sleep 60\n', { mode: 0o700 });
  const config = { ...readConfig({}), trainer };
  await expect(score(config, [], new AbortController().signal, 0.2)).rejects.toThrow(
    'did not score the outputs within 0.2 seconds'
  );
  await rm(folder, { recursive: true });
});
