import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Run } from '../../src/lib/wire/run.ts';
import { findTrainer } from '../../server/runs/process.ts';
import { makeModel, trainerBuilt } from '../../server/runs/testing-model.ts';
import { preferences } from '../../server/runs/testing-runs.ts';
import { parseStream } from '../../server/runs/testing-stream.ts';
import { readConfig } from '../../server/config.ts';
import { realServer, type RealServer } from '../real-server.ts';

const KILLS = 20;
const STEPS = 2_500;
const TRAINER_KILLS_MAX = 2;

let server: RealServer;
let dataset: string;
let model: string;
const built = test.skipIf(!trainerBuilt);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function call(method: string, path: string, body?: unknown, type = 'application/json'): Promise<any> {
  const response = await fetch(`${server.origin}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${server.owner}`, 'content-type': type },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
  });
  const answer = response.headers.get('content-type')?.includes('json')
    ? await response.json()
    : await response.text();
  if (!response.ok)
    throw new Error(`${method} ${path} answered ${response.status}: ${answer.detail ?? answer}`);
  return answer;
}

async function until<T>(ask: () => Promise<T>, fits: (value: T) => boolean): Promise<T> {
  for (const end = Date.now() + 60_000; ; await pause(30)) {
    const value = await ask();
    if (fits(value)) return value;
    if (Date.now() > end) throw new Error(`Still not: ${JSON.stringify(value)}`);
  }
}

const readRun = (id: string): Promise<Run> => call('GET', `/runs/${id}`);
const hasEnded = ({ status }: Run) => status !== 'queued' && status !== 'running';
const ended = (id: string) => until(() => readRun(id), hasEnded);

async function start(): Promise<string> {
  const hyperparameters = { max_steps: STEPS, r: 2, groups_per_step: 4, save_steps: 20, eval_steps: 500 };
  return (await call('POST', '/runs', { dataset, model, objective: 'dpo', hyperparameters })).id;
}

/** What must hold of every run that ended well, whatever was killed: each step once and in order, and its adapter. */
async function checkWhole(id: string): Promise<string> {
  const run = await ended(id);
  expect([run.status, run.error, run.step]).toEqual(['done', null, STEPS]);
  const { events } = parseStream(await call('GET', `/runs/${id}/events`));
  expect(events.map((event) => event.id)).toEqual(events.map((_, i) => i + 1));
  const stepsOf = (kind: string) =>
    events.filter(({ data }) => data.event === kind).map(({ data }) => data.step as number);
  expect(stepsOf('step')).toEqual(Array.from({ length: STEPS }, (_, i) => i + 1));
  expect(stepsOf('eval')).toEqual([500, 1_000, 1_500, 2_000, 2_500]);
  expect(events.filter(({ data }) => data.event === 'end' && data.status === 'done')).toHaveLength(1);
  const adapter = await call('GET', `/adapters/${run.adapter}`);
  return adapter.files.find(({ name }: { name: string }) => name === 'adapter_model.safetensors').sha256;
}

beforeAll(async () => {
  if (!trainerBuilt) return;
  server = await realServer({ bootstrap: true });
  const { trainer } = readConfig({ CONCORD_TRAINER: process.env.CONCORD_TRAINER });
  await makeModel(trainer, join(server.dataDir, 'models/tiny'));
  model = (await call('POST', '/models', { path: 'tiny' })).id;
  const body = { name: 'Killed', review: { mode: 'open', overlap: 1 }, criteria: [] };
  const { id: project } = await call('POST', '/projects', body);
  const { id } = await call('POST', `/projects/${project}/imports`, preferences(40), 'application/jsonl');
  await until(
    () => call('GET', `/imports/${id}`),
    ({ status }) => status === 'done'
  );
  const frozen = { name: 'Killed', eval_fraction: 0.1, seed: 1 };
  dataset = (await call('POST', `/projects/${project}/datasets`, frozen)).id;
});
afterAll(async () => {
  await server?.stop();
});

built(
  `the server killed ${KILLS} times while runs go on: every run ends, every step stands once`,
  { timeout: 600_000 },
  async () => {
    const runs: string[] = [];
    let during = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const current = runs.length ? await readRun(runs.at(-1)!) : null;
      if (!current || hasEnded(current)) runs.push(await start());
      // From the preparing of a new run to the middle of an old one.
      await pause(Math.random() * 350);
      if (!hasEnded(await readRun(runs.at(-1)!))) during++;
      await server.kill();
      await server.start();
    }
    const hashes = new Set<string>();
    for (const id of runs) hashes.add(await checkWhole(id));
    expect(during).toBeGreaterThan(KILLS / 2);
    // Killing the server changes nothing of what is learned.
    expect(hashes.size).toBe(1);
    // No end that was begun twice has left anything behind.
    const kept = readdirSync(join(server.dataDir, 'adapters'));
    expect(kept.sort()).toEqual(runs.map((id) => id.replace('run_', 'adapter_')).sort());
    console.log(`${KILLS} kills, ${during} of them during a run, over ${runs.length} runs`);
  }
);

const trainerOf = (id: string) => findTrainer(join(server.dataDir, 'runs', id, 'job.json'));

/** Kills the trainer once it has gone on by itself for a while; false where it was done before. */
async function killTrainer(id: string): Promise<boolean> {
  const { step } = await readRun(id);
  const run = await until(
    () => readRun(id),
    (now) => now.step > step + 100 || hasEnded(now)
  );
  const trainer = hasEnded(run) ? null : trainerOf(id);
  if (trainer) process.kill(trainer.pid, 'SIGKILL');
  return trainer !== null;
}

built(
  'a killed trainer goes on at its checkpoint and ends with the same bytes',
  { timeout: 240_000 },
  async () => {
    const undisturbed = await checkWhole(await start());
    const id = await start();
    for (let kill = 0; kill < TRAINER_KILLS_MAX; kill++) expect(await killTrainer(id)).toBe(true);
    expect(await checkWhole(id)).toBe(undisturbed);
    const log = readFileSync(join(server.dataDir, 'runs', id, 'trainer.log'), 'utf8');
    expect(log.match(/^resumed from /gm)).toHaveLength(TRAINER_KILLS_MAX);
  }
);

built('a trainer that is killed too often ends the run with a sentence', { timeout: 240_000 }, async () => {
  const id = await start();
  for (let kill = 0; kill <= TRAINER_KILLS_MAX; kill++) expect(await killTrainer(id)).toBe(true);
  const run = await ended(id);
  expect([run.status, run.adapter]).toEqual(['failed', null]);
  expect(run.error).toMatch(/^The trainer was ended 3 times without a word, the last time after step \d+: /);
});
