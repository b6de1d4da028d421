import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testApp, type TestApp } from '../../server/testing-app.ts';

/** The loop on data and a base that nobody here wrote, through the API alone. The files are outside the repository. */
const data = new URL('../../../shared/data', import.meta.url).pathname;
const present = existsSync(data) || Boolean(process.env.CI);

const PANDALM = {
  prompt: '{instruction}\n\n{input}',
  outputs: ['response1', 'response2'],
  votes: ['annotator1', 'annotator2', 'annotator3'].map((column) => ({
    column,
    rater: column,
    values: { '1': [[0], [1]], '2': [[1], [0]], '0': [[0, 1]] }
  }))
};

let t: TestApp;
let models: string;
beforeAll(async () => {
  if (!present) return;
  models = await mkdtemp(join(tmpdir(), 'concord-models-'));
  cpSync(`${data}/tiny-llm-stories260k/hf`, `${models}/stories260k`, { recursive: true });
  t = await testApp({ modelsDir: models });
});
afterAll(async () => {
  await t?.close();
  if (models) await rm(models, { recursive: true, force: true });
});

async function until<T>(ask: () => Promise<T>, done: (value: T) => boolean, timeoutMs = 120_000): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await ask();
    if (done(value)) return value;
    if (Date.now() > end) throw new Error(`Still not done after ${timeoutMs} ms: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function importFile(project: string, file: string, query = '') {
  const { status, body } = await t.call('POST', `/api/v1/projects/${project}/imports${query}`, {
    body: readFileSync(`${data}/${file}`),
    headers: { 'content-type': 'application/jsonl', 'content-encoding': 'gzip' }
  });
  expect([status, body?.detail]).toEqual([202, undefined]);
  const ended = await until(
    async () => (await t.call('GET', `/api/v1/imports/${body.id}`)).body,
    ({ status }) => status === 'done' || status === 'failed'
  );
  expect(ended.failure).toBe(null);
  expect(ended.rows_accepted + ended.rows_rejected + ended.duplicates).toBe(ended.rows_read);
  return ended;
}

const freeze = async (project: string) => {
  const { status, body } = await t.call('POST', `/api/v1/projects/${project}/datasets`, {
    body: { name: 'First round', eval_fraction: 0.1, seed: 7 }
  });
  expect([status, body.detail]).toEqual([201, undefined]);
  return body;
};

async function runToEnd(dataset: string, model: string, objective: string, hyperparameters: object) {
  const { status, body } = await t.call('POST', '/api/v1/runs', {
    body: { dataset, model, objective, hyperparameters }
  });
  expect([status, body.detail]).toEqual([201, undefined]);
  return until(
    async () => (await t.call('GET', `/api/v1/runs/${body.id}`)).body,
    (run) => !['queued', 'running'].includes(run.status)
  );
}

test.skipIf(!present)(
  'three annotators of PandaLM become pairs, a dataset, an adapter',
  { timeout: 240_000 },
  async () => {
    const project = await t.project({ name: 'PandaLM' });
    const mapping = `?mapping=${encodeURIComponent(JSON.stringify(PANDALM))}`;
    const done = await importFile(project, 'prefs-pandalm-3annotators/testset.jsonl.gz', mapping);
    expect(done.rows_read).toBe(616);
    expect(done.rows_rejected).toBe(0);

    const trl = await t.call('GET', `/api/v1/projects/${project}/pairs?format=trl`);
    const lines = (await trl.response.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.length).toBeGreaterThan(400);
    expect(lines[0].prompt[0]).toMatchObject({ role: 'user' });
    expect(lines[0].chosen[0].content).not.toBe(lines[0].rejected[0].content);

    const dataset = await freeze(project);
    const again = await freeze(project);
    expect(again.sha256).toBe(dataset.sha256);
    const { response } = await t.call('GET', `/api/v1/datasets/${dataset.id}/export?format=trl-jsonl`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(dataset.sha256);

    const base = await t.call('POST', '/api/v1/models', { body: { path: 'stories260k' } });
    expect([base.status, base.body.detail]).toEqual([201, undefined]);
    const run = await runToEnd(dataset.id, base.body.id, 'dpo', { max_steps: 4, r: 4, learning_rate: 1e-3 });
    expect([run.status, run.error, run.step]).toEqual(['done', null, 4]);
    const adapter = await t.call('GET', `/api/v1/adapters/${run.adapter}`);
    expect(adapter.body.files.map((file: { name: string }) => file.name)).toEqual(
      expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors'])
    );
    const config = await t.call('GET', `/api/v1/adapters/${run.adapter}/files/adapter_config.json`);
    expect(JSON.parse(await config.response.text())).toMatchObject({ peft_type: 'LORA', r: 4 });
  }
);

test.skipIf(!present)(
  'dialogues of hh-rlhf import as they lie there and tune by SFT',
  { timeout: 240_000 },
  async () => {
    const project = await t.project({ name: 'Harmless' });
    const done = await importFile(project, 'prefs-hh-rlhf-harmless/harmless-base-test.jsonl.gz');
    expect(done.rows_read).toBe(1616);
    expect(done.rows_accepted).toBeGreaterThan(1500);

    const dataset = await freeze(project);
    expect(dataset.counts.pairs).toBeGreaterThan(1400);
    const { body } = await t.call('GET', '/api/v1/models');
    const base = body.items.find((model: { path: string }) => model.path === 'stories260k');
    const run = await runToEnd(dataset.id, base.id, 'sft', { max_steps: 2, r: 2 });
    expect([run.status, run.error]).toEqual(['done', null]);
  }
);
