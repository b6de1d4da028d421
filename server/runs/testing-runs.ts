import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Run } from '#wire/run.ts';
import type { Config } from '../config.ts';
import { testApp, type TestApp } from '../testing-app.ts';
import { makeModel } from './testing-model.ts';

export interface RunsApp extends TestApp {
  models: string;
  /** The registered test base. */
  model: string;
  /** A project with a frozen dataset of so many pairs. */
  dataset(pairs?: number, review?: { overlap: number }): Promise<{ project: string; dataset: string }>;
  start(body: object, token?: string): ReturnType<TestApp['call']>;
  /** The run as soon as it fits. */
  until(id: string, fits: (run: Run) => boolean): Promise<Run>;
  ended(id: string): Promise<Run>;
}

/** The whole server with a tiny base and the real trainer. */
export async function runsApp(overrides: Partial<Config> = {}): Promise<RunsApp> {
  const models = await mkdtemp(join(tmpdir(), 'concord-models-'));
  const t = await testApp({ ...overrides, modelsDir: models });
  await makeModel(t.config.trainer, join(models, 'tiny'));
  const registered = await t.call('POST', '/api/v1/models', { body: { path: 'tiny' } });
  if (registered.status !== 201) throw new Error(registered.body.detail);

  async function until(id: string, fits: (run: Run) => boolean): Promise<Run> {
    for (const end = Date.now() + 60_000; ;) {
      const { body } = await t.call('GET', `/api/v1/runs/${id}`);
      if (fits(body)) return body;
      if (Date.now() > end) throw new Error(`Still not: ${JSON.stringify(body)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  return {
    ...t,
    models,
    model: registered.body.id,
    async dataset(pairs = 24, review) {
      const project = await t.project(review);
      const sent = await t.call('POST', `/api/v1/projects/${project}/imports`, {
        body: preferences(pairs),
        headers: { 'content-type': 'application/jsonl' }
      });
      for (let status = 'queued'; status !== 'done'; await new Promise((resolve) => setTimeout(resolve, 20)))
        status = (await t.call('GET', `/api/v1/imports/${sent.body.id}`)).body.status;
      const frozen = await t.call('POST', `/api/v1/projects/${project}/datasets`, {
        body: { name: 'Round one', eval_fraction: 0.2, seed: 1 }
      });
      return { project, dataset: frozen.body.id };
    },
    start: (body, token) => t.call('POST', '/api/v1/runs', { body, ...(token ? { token } : {}) }),
    until,
    ended: (id) => until(id, ({ status }) => status !== 'queued' && status !== 'running'),
    async close() {
      await t.close();
      await rm(models, { recursive: true, force: true });
    }
  };
}

export function preferences(count: number): string {
  return Array.from({ length: count }, (_, i) =>
    JSON.stringify({
      prompt: `What is ${i} and ${i}?`,
      chosen: `It is ${2 * i}.`,
      rejected: `No idea, ${i}.`
    })
  ).join('\n');
}
