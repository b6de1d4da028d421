import { createHash } from 'node:crypto';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
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

async function runToEnd(run: Record<string, unknown>) {
  const { status, body } = await t.call('POST', '/api/v1/runs', { body: run });
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

    const lines = await trlPairs(project);
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
    const run = await runToEnd({
      ...{ dataset: dataset.id, model: base.body.id, objective: 'dpo' },
      hyperparameters: { max_steps: 4, r: 4, learning_rate: 1e-3 }
    });
    expect([run.status, run.error, run.step]).toEqual(['done', null, 4]);
    const adapter = await t.call('GET', `/api/v1/adapters/${run.adapter}`);
    expect(adapter.body.files.map((file: { name: string }) => file.name)).toEqual(
      expect.arrayContaining(['adapter_config.json', 'adapter_model.safetensors'])
    );
    const config = await t.call('GET', `/api/v1/adapters/${run.adapter}/files/adapter_config.json`);
    const { peft_type, r, target_modules } = JSON.parse(await config.response.text());
    expect([peft_type, r]).toEqual(['LORA', 4]);
    expect(await tensorShapes(run.adapter)).toEqual(loraOf(target_modules, r));
  }
);

async function trlPairs(project: string): Promise<any[]> {
  const { response } = await t.call('GET', `/api/v1/projects/${project}/pairs?format=trl`);
  const lines = (await response.text()).trim().split('\n');
  return lines.map((line) => JSON.parse(line));
}

async function tensorShapes(adapter: string): Promise<Record<string, number[]>> {
  const { response } = await t.call('GET', `/api/v1/adapters/${adapter}/files/adapter_model.safetensors`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  const length = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const { __metadata__: _, ...header } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  return Object.fromEntries(Object.entries<any>(header).map(([name, { shape }]) => [name, shape]));
}

/** Names and shapes as PEFT saves them, from the base's own weights: B is out x r and A is r x in. */
function loraOf(modules: string[], r: number): Record<string, number[]> {
  const base = readFileSync(`${data}/tiny-llm-stories260k/hf/model.safetensors`);
  const header = JSON.parse(base.subarray(8, 8 + Number(base.readBigUInt64LE(0))).toString());
  const adapted = Object.keys(header).filter((name) =>
    modules.some((one) => name.endsWith(`.${one}.weight`))
  );
  expect(adapted.length).toBeGreaterThan(modules.length);
  const entries = adapted.flatMap((name) => {
    const [out, into] = header[name].shape;
    const prefix = `base_model.model.${name.replace(/\.weight$/, '')}`;
    return [
      [`${prefix}.lora_A.weight`, [r, into]],
      [`${prefix}.lora_B.weight`, [out, r]]
    ];
  });
  return Object.fromEntries(entries);
}

/** Spaces around a turn are no part of it. */
const plain = (text: string) => text.replace(/\s+/g, ' ').trim();

/** A pair written as hh-rlhf writes it. */
const asDialogue = (prompt: { role: string; content: string }[], answer: string) =>
  prompt
    .map(({ role, content }) => `\n\n${role === 'user' ? 'Human' : 'Assistant'}: ${content}`)
    .concat(`\n\nAssistant: ${answer}`)
    .join('');

test.skipIf(!present)(
  'dialogues of hh-rlhf import as they lie there and tune by SFT, then by DPO from there',
  { timeout: 240_000 },
  async () => {
    const project = await t.project({ name: 'Harmless' });
    const done = await importFile(project, 'prefs-hh-rlhf-harmless/harmless-base-test.jsonl.gz');
    expect(done.rows_read).toBe(1616);
    expect(done.rows_accepted).toBeGreaterThan(1500);

    const source = gunzipSync(readFileSync(`${data}/prefs-hh-rlhf-harmless/harmless-base-test.jsonl.gz`));
    const known = new Set(
      source
        .toString()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map(({ chosen, rejected }) => JSON.stringify([chosen, rejected].map(plain)))
    );
    const strange = (await trlPairs(project))
      .map(({ prompt, chosen, rejected }) =>
        [chosen, rejected].map((side) => asDialogue(prompt, side[0].content))
      )
      .filter((pair) => !known.has(JSON.stringify(pair.map(plain))));
    expect(strange).toEqual([]);

    const dataset = await freeze(project);
    expect(dataset.counts.pairs).toBeGreaterThan(1400);
    const { body } = await t.call('GET', '/api/v1/models');
    const base = body.items.find((model: { path: string }) => model.path === 'stories260k');
    const given = { dataset: dataset.id, model: base.id };
    const sft = await runToEnd({ ...given, objective: 'sft', hyperparameters: { max_steps: 2, r: 2 } });
    expect([sft.status, sft.error]).toEqual(['done', null]);
    const dpo = await runToEnd({
      ...{ ...given, objective: 'dpo', parent_adapter: sft.adapter },
      hyperparameters: { max_steps: 2 }
    });
    expect([dpo.status, dpo.error]).toEqual(['done', null]);
    expect(dpo.hyperparameters.reference_adapter).toBe(sft.adapter);
    const { body: lineage } = await t.call('GET', `/api/v1/adapters/${dpo.adapter}`);
    expect(JSON.stringify(lineage)).toContain(sft.adapter);
  }
);
