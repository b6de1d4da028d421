import { existsSync } from 'node:fs';
import { appendFile, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eq, sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PAIR_LOSSES, REFERENCE_FREE_LOSSES } from '#wire/run.ts';
import { readConfig } from '../config.ts';
import { connect, disconnect } from '../db/connect.ts';
import { limits } from '../limits.ts';
import { findTrainer, isAlive } from './process.ts';
import { run } from './tables.ts';
import { inspect } from './trainer.ts';
import { adapterIdOf, runFolder } from './rows.ts';
import { readStream } from './testing-stream.ts';
import { trainerBuilt } from './testing-model.ts';
import { runsApp, type RunsApp } from './testing-runs.ts';

let t: RunsApp;
let project: string;
let dataset: string;
beforeAll(async () => {
  if (!trainerBuilt) return;
  t = await runsApp();
  ({ project, dataset } = await t.dataset());
});
afterAll(() => t?.close());

const built = test.skipIf(!trainerBuilt);
const dpo = (hyperparameters: object = {}, more: object = {}) => ({
  ...{ dataset, model: t.model, objective: 'dpo', ...more },
  hyperparameters: { max_steps: 6, r: 2, groups_per_step: 4, learning_rate: 1e-3, ...hyperparameters }
});

built('a DPO run goes from the queue to an adapter, and its events are all there', async () => {
  const { status, body } = await t.start(dpo());
  expect([status, body.detail]).toEqual([201, undefined]);
  expect(body).toMatchObject({ status: 'queued', step: 0, adapter: null, name: 'Round one · DPO' });
  const run = await t.ended(body.id);
  expect(run).toMatchObject({
    status: 'done',
    error: null,
    step: 6,
    max_steps: 6,
    adapter: adapterIdOf(run.id)
  });
  expect(Object.keys(run.metrics)).toEqual(
    expect.arrayContaining([
      'loss',
      'rewards/margins',
      'eval_loss',
      'eval_rewards/accuracies',
      'tokens_per_second'
    ])
  );
  const { events, runs } = await readStream(t, run.id);
  const steps = events.filter(({ data }) => data.event === 'step').map(({ data }) => data.step);
  expect(steps).toEqual([1, 2, 3, 4, 5, 6]);
  expect(events.map(({ id }) => id)).toEqual(events.map((_, i) => i + 1));
  expect(events.at(-1)!.data).toMatchObject({ event: 'end', status: 'done' });
  expect(runs.at(-1)).toEqual(run);
  expect((await t.call('GET', `/api/v1/projects/${project}/runs`)).body.items[0]).toEqual(run);
  const log = await (await t.call('GET', `/api/v1/runs/${run.id}/log`)).response.text();
  expect(log).toContain('step 6/6');
  const said = JSON.stringify(events) + log;
  for (const path of [t.config.dataDir, t.models]) expect(said).not.toContain(path);
  expect(events[0]!.data.job).toMatchObject({ train_file: 'train.safetensors', model_name_or_path: 'tiny' });
  // What was only for going on is gone, in a moment: the run is done before it is swept.
  await expect
    .poll(() => readdir(runFolder(t.config, run.id)))
    .toEqual(['job.json', 'output', 'trainer.log']);
});

built('a second round starts from the first adapter, takes it as reference and says so', async () => {
  const first = await t.ended((await t.start(dpo())).body.id);
  const { body } = await t.start({ ...dpo({ r: undefined }), parent_adapter: first.adapter });
  expect(body).toMatchObject({
    parent_adapter: first.adapter,
    hyperparameters: { reference_adapter: first.adapter }
  });
  const second = await t.ended(body.id);
  expect([second.status, second.error]).toEqual(['done', null]);
  const { body: adapter } = await t.call('GET', `/api/v1/adapters/${second.adapter}`);
  expect(adapter).toMatchObject({ parent_adapter: first.adapter, run: second.id, dataset, model: t.model });
  const { body: told } = await t.start({
    ...dpo({ r: undefined, reference_adapter: null }),
    parent_adapter: first.adapter
  });
  expect(told.hyperparameters.reference_adapter).toBe(null);
  expect((await t.ended(told.id)).status).toBe('done');
});

built(
  'every loss that the form offers runs; one without a reference takes none from the parent',
  async () => {
    const first = await t.ended((await t.start(dpo())).body.id);
    for (const loss_type of PAIR_LOSSES) {
      const smoothing = loss_type === 'exo_pair' ? { label_smoothing: 0.1 } : {};
      const { body } = await t.start({
        ...dpo({ r: undefined, max_steps: 2, loss_type, ...smoothing }),
        parent_adapter: first.adapter
      });
      const free = REFERENCE_FREE_LOSSES.includes(loss_type);
      expect([loss_type, body.hyperparameters.reference_adapter]).toEqual([
        loss_type,
        free ? undefined : first.adapter
      ]);
      expect(await t.ended(body.id)).toMatchObject({ status: 'done', error: null });
    }
  }
);

built('SFT learns the chosen answers', async () => {
  const { body } = await t.start({ ...dpo(), objective: 'sft' });
  expect(await t.ended(body.id)).toMatchObject({ status: 'done', step: 6 });
});

built('what is wrong with a run is refused by name before it is in the queue', async () => {
  const refusals: [object, string, string][] = [
    [dpo({ lr: 1 }), 'bad_hyperparameters', 'learning_rate'],
    [dpo({ learning_rate: -1 }), 'bad_hyperparameters', 'learning_rate'],
    [dpo({ r: 'many' }), 'bad_hyperparameters', 'r must be an integer'],
    [dpo({ output_dir: '/tmp' }), 'bad_hyperparameters', 'hyperparameters.output_dir: the studio sets it'],
    [dpo({ finetuning_type: 'full' }), 'bad_hyperparameters', 'finetuning_type'],
    [dpo({ reference_adapter: 3 }), 'bad_hyperparameters', 'reference_adapter'],
    [dpo({ loss_type: 'ipo', label_smoothing: 0.1 }), 'bad_hyperparameters', 'label_smoothing is not used'],
    [dpo({ loss_type: 'exo_pair' }), 'bad_hyperparameters', 'label_smoothing must be greater than 0'],
    [dpo({ loss_type: 'kto' }), 'bad_hyperparameters', 'kto learns from votes on single outputs'],
    [dpo({ loss_type: 'plackett_luce' }), 'bad_hyperparameters', 'plackett_luce learns from rankings'],
    [{ ...dpo({ beta: 0.1 }), objective: 'sft' }, 'bad_hyperparameters', 'beta'],
    [{ ...dpo(), model: 'model_none' }, 'unknown_model', 'model:'],
    [{ ...dpo(), parent_adapter: 'adapter_none' }, 'unknown_adapter', 'parent_adapter:'],
    [{ ...dpo(), objective: 'ppo' }, 'invalid', 'objective'],
    [{ ...dpo(), hyper: {} }, 'invalid', 'hyper']
  ];
  for (const [body, code, named] of refusals) {
    const answer = await t.start(body);
    expect([answer.status, answer.body.code, answer.body.detail]).toEqual([
      422,
      code,
      expect.stringContaining(named)
    ]);
    expect(answer.body.detail).not.toContain(t.config.dataDir);
  }
  expect((await t.start({ ...dpo(), dataset: 'dataset_none' })).status).toBe(404);
});

built('only owners and engineers of the project start and cancel; others of it may look', async () => {
  const reviewer = await t.member(project, 'reviewer');
  const viewer = await t.member(project, 'viewer');
  const stranger = await t.member(await t.project(), 'engineer');
  expect((await t.start(dpo(), reviewer.token)).status).toBe(403);
  expect((await t.start(dpo(), stranger.token)).status).toBe(404);
  const { body } = await t.start(dpo({ max_steps: 2 }));
  const look = (token: string, path = '') => t.call('GET', `/api/v1/runs/${body.id}${path}`, { token });
  expect((await look(viewer.token)).status).toBe(200);
  expect((await look(reviewer.token)).status).toBe(403);
  for (const path of ['', '/events', '/log']) expect((await look(stranger.token, path)).status).toBe(404);
  const cancel = (token: string) => t.call('POST', `/api/v1/runs/${body.id}/cancel`, { token });
  expect((await cancel(viewer.token)).status).toBe(403);
  expect((await cancel(stranger.token)).status).toBe(404);
  const { adapter } = await t.ended(body.id);
  for (const path of ['', '/files/adapter_config.json', '/download'])
    expect(
      (await t.call('GET', `/api/v1/adapters/${adapter}${path}`, { token: stranger.token })).status
    ).toBe(404);
});

built('one run at a time; a cancelled one stops after a checkpoint, one in the queue at once', async () => {
  const long = (await t.start(dpo({ max_steps: 100_000 }))).body;
  const waiting = (await t.start(dpo())).body;
  await t.until(long.id, ({ step }) => step > 2);
  expect((await t.call('GET', `/api/v1/runs/${waiting.id}`)).body.status).toBe('queued');
  const cancel = (id: string) => t.call('POST', `/api/v1/runs/${id}/cancel`);
  expect((await cancel(waiting.id)).body.status).toBe('cancelled');
  expect((await cancel(long.id)).status).toBe(202);
  const ended = await t.ended(long.id);
  expect(ended).toMatchObject({ status: 'cancelled', adapter: null, error: null });
  const { events } = await readStream(t, long.id);
  expect(events.at(-2)!.data).toMatchObject({ event: 'checkpoint', step: ended.step });
  expect(existsSync(join(runFolder(t.config, long.id), 'output', `checkpoint-${ended.step}`))).toBe(true);
  expect((await cancel(long.id)).body.status).toBe('cancelled');
});

built('a reader that was away goes on behind the last event it saw', async () => {
  const { body } = await t.start(dpo());
  const whole = await readStream(t, body.id);
  const rest = await readStream(t, body.id, 4);
  expect(rest.events).toEqual(whole.events.slice(4));
  const nothing = await t.call('GET', `/api/v1/runs/${body.id}/events`, {
    headers: { 'last-event-id': String(whole.events.length) }
  });
  expect(nothing.status).toBe(204);
  const wrong = await t.call('GET', `/api/v1/runs/${body.id}/events`, { headers: { 'last-event-id': 'x' } });
  expect(wrong.status).toBe(422);
});

built('a trainer that cannot go on ends the run with its own sentence', async () => {
  const { body } = await t.start(dpo({ max_length: 4 }));
  const run = await t.ended(body.id);
  expect(run).toMatchObject({ status: 'failed', adapter: null });
  expect(run.error).toMatch(/max_length|no group|4/);
  expect(run.error).not.toContain(t.config.dataDir);
});

built('a trainer that does not stop when asked is killed when the time is up', async () => {
  const { body } = await t.start(dpo({ max_steps: 100_000 }));
  await t.until(body.id, ({ step }) => step > 2);
  const trainer = findTrainer(join(runFolder(t.config, body.id), 'job.json'))!;
  process.kill(trainer.pid, 'SIGSTOP');
  await t.call('POST', `/api/v1/runs/${body.id}/cancel`);
  expect((await t.call('GET', `/api/v1/runs/${body.id}`)).body.status).toBe('running');
  const db = connect({ connectionString: t.config.databaseUrl! });
  const asked = sql`now() - make_interval(secs => ${limits.runs.cancel_seconds_max + 1})`;
  await db.update(run).set({ cancelRequestedAt: asked }).where(eq(run.id, body.id));
  await disconnect(db);
  expect((await t.ended(body.id)).status).toBe('cancelled');
  expect(isAlive(trainer)).toBe(false);
});

built('of a long log the end is shown', async () => {
  const { body } = await t.start(dpo({ max_steps: 1 }));
  await t.ended(body.id);
  const line = 'a line that the trainer wrote\n';
  const lines = Math.ceil(limits.runs.log_bytes_max / line.length) + 10;
  await appendFile(join(runFolder(t.config, body.id), 'trainer.log'), line.repeat(lines));
  const log = await (await t.call('GET', `/api/v1/runs/${body.id}/log`)).response.text();
  expect(log.length).toBe(limits.runs.log_bytes_max);
  expect(log.endsWith(line)).toBe(true);
});

test('a trainer that hangs over a model is ended and named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'concord-hanging-'));
  const trainer = join(folder, 'hangs');
  await writeFile(trainer, '#!/bin/sh\nexec sleep 60\n', { mode: 0o700 });
  const config = { ...readConfig({}), trainer };
  await expect(inspect(config, [], 0.2)).rejects.toThrow('did not read the model within 0.2 seconds');
  await rm(folder, { recursive: true });
});
