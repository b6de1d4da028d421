import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-web/wasm';
import { afterAll, expect, test } from 'vitest';
import { readAdapter } from '../../../src/lib/preview/adapter.ts';
import { Decoder, type AdapterInputs, type Shapes } from '../../../src/lib/preview/decoder.ts';
import { generate, type Generation } from '../../../src/lib/preview/generate.ts';
import type { Ended } from '../../../src/lib/preview/protocol.ts';
import { createText } from '../../../src/lib/text/index.ts';
import {
  fromFloat32,
  readSafetensorsHeader,
  sliceTensor,
  toBigInt64,
  toFloat32,
  toInt32,
  writeSafetensors,
  type DType
} from '../../../src/lib/tensors/safetensors.ts';
import { openCheckpoint } from './checkpoint.ts';
import { exportOnnx } from './export.ts';
import { modelLinears } from './tensors.ts';

const shared = new URL('../../../../shared', import.meta.url).pathname;
const golden = `${shared}/golden/llama`;
const stories = `${shared}/data/tiny-llm-stories260k`;
// The golden files lie beside the repository; without them there is nothing independent to compare with.
const compared = test.skipIf(!existsSync(shared) && !process.env.CI);

ort.env.wasm.numThreads = 1;
const made: string[] = [];
afterAll(() => Promise.all(made.map((folder) => rm(folder, { recursive: true }))));

interface Base {
  shapes: Shapes;
  session: ort.InferenceSession;
  files: string[];
}

async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'concord-onnx-'));
  made.push(folder);
  return folder;
}

async function base(folder: string, part_bytes_max = 64 << 20): Promise<Base> {
  const out = await temporary();
  const checkpoint = await openCheckpoint(folder);
  const files = await exportOnnx(checkpoint, out, part_bytes_max);
  const read = async (name: string) => new Uint8Array(await readFile(join(out, name)));
  const externalData = await Promise.all(
    files.slice(1).map(async (name) => ({ path: name, data: await read(name) }))
  );
  const session = await ort.InferenceSession.create(await read('model.onnx'), { externalData });
  return { shapes: { ...checkpoint.config, linears: modelLinears(checkpoint.config) }, session, files };
}

async function tensors(path: string) {
  const bytes = new Uint8Array(await readFile(path));
  const header = readSafetensorsHeader(bytes, path);
  return (name: string) => sliceTensor(bytes, header, name);
}

function logSoftmax(logits: Float32Array, row: number, width: number, id: number): number {
  const values = logits.subarray(row * width, (row + 1) * width);
  const best = values.reduce((a, b) => Math.max(a, b));
  const sum = values.reduce((total, value) => total + Math.exp(value - best), 0);
  return values[id]! - best - Math.log(sum);
}

/** Log-probabilities of every completion token of a groups file, one sequence at a time. */
async function score({ shapes, session }: Base, adapter: AdapterInputs | null): Promise<number[]> {
  const file = await tensors(`${golden}/groups.safetensors`);
  const tokens = [...toInt32(file('tokens'))];
  const segments = [...toBigInt64(file('segments'))].map(Number);
  const groups = [...toBigInt64(file('group_segments'))].map(Number);
  const segment = (s: number) => tokens.slice(segments[s], segments[s + 1]);
  const out: number[] = [];
  for (let g = 0; g + 1 < groups.length; g++)
    for (let s = groups[g]! + 1; s < groups[g + 1]!; s++) {
      const [prompt, completion] = [segment(groups[g]!), segment(s)];
      const ids = [...prompt, ...completion];
      const logits = await new Decoder(ort, session, shapes, adapter).read(ids, 'all');
      completion.forEach((id, i) => {
        const row = prompt.length + i - 1;
        out.push(row < 0 ? 0 : logSoftmax(logits, row, shapes.vocab_size, id));
      });
    }
  return out;
}

const worst = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));
};

async function goldenAdapter({ shapes }: Base): Promise<AdapterInputs> {
  const config = JSON.parse(await readFile(`${golden}/adapter/adapter_config.json`, 'utf8'));
  const weights = new Uint8Array(await readFile(`${golden}/adapter/adapter_model.safetensors`));
  return readAdapter(config, weights, shapes.linears);
}

compared('log-probabilities are those of the independent implementation, base and adapter', async () => {
  const model = await base(`${golden}/model`, 40_000);
  expect(model.files.length).toBeGreaterThan(3);
  const expected = await tensors(`${golden}/expected.safetensors`);
  expect(worst(await score(model, null), toFloat32(expected('logps.base'), 'F32'))).toBeLessThan(1e-4);
  const adapted = await score(model, await goldenAdapter(model));
  expect(worst(adapted, toFloat32(expected('logps.adapter'), 'F32'))).toBeLessThan(1e-4);
});

compared('greedy text with the adapter is the independent implementation’s', async () => {
  const model = await base(`${golden}/model`);
  const expected = await tensors(`${golden}/expected.safetensors`);
  const groups = await tensors(`${golden}/groups.safetensors`);
  const length = Number(toBigInt64(groups('segments'))[1]);
  const decoder = new Decoder(ort, model.session, model.shapes, await goldenAdapter(model));
  const wanted = [...toInt32(expected('greedy.adapter'))];
  const got: number[] = [];
  let next = [...toInt32(groups('tokens'))].slice(0, length);
  while (got.length < wanted.length) {
    const logits = await decoder.read(next);
    next = [logits.indexOf(Math.max(...logits))];
    got.push(...next);
  }
  expect(got).toEqual(wanted);
});

compared('stories260k: logits are transformers’, whether read at once or step by step', async () => {
  const model = await base(`${stories}/hf`);
  const file = await tensors(`${stories}/golden-logits.safetensors`);
  const ids = [...toInt32(file('input_ids'))];
  const wanted = toFloat32(file('logits_f64'), 'F64');
  const whole = await new Decoder(ort, model.session, model.shapes, null).read(ids, 'all');
  expect(worst(whole, wanted)).toBeLessThan(1e-4);
  const decoder = new Decoder(ort, model.session, model.shapes, null);
  const { vocab_size } = model.shapes;
  for (const [from, to] of [[0, 5], [5, 6], [6, 20], ...ids.slice(20).map((_, i) => [20 + i, 21 + i])]) {
    const logits = await decoder.read(ids.slice(from, to));
    expect(worst(logits, wanted.subarray((to! - 1) * vocab_size, to! * vocab_size))).toBeLessThan(1e-4);
  }
});

/** The checkpoint in that folder with its weights rounded to `rounded` and stored as `stored`. */
async function restored(
  from: string,
  rounded: 'F16' | 'BF16',
  stored: 'F16' | 'BF16' | 'F32'
): Promise<string> {
  const folder = await temporary();
  const bytes = new Uint8Array(await readFile(`${from}/model.safetensors`));
  const header = readSafetensorsHeader(bytes);
  const tensors = [...header.tensors.values()].map(({ name, shape, dtype }) => {
    const values = toFloat32(sliceTensor(bytes, header, name), dtype);
    const data = fromFloat32(toFloat32(fromFloat32(values, rounded), rounded), stored);
    return { name, shape, dtype: stored as DType, data };
  });
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors(tensors));
  await writeFile(join(folder, 'config.json'), await readFile(`${from}/config.json`));
  return folder;
}

compared.each(['F16', 'BF16'] as const)('a checkpoint in %s computes as its values in F32', async (dtype) => {
  const narrow = await base(await restored(`${stories}/hf`, dtype, dtype));
  const wide = await base(await restored(`${stories}/hf`, dtype, 'F32'));
  const ids = [1, 403, 407, 261, 378];
  const [a, b] = await Promise.all(
    [narrow, wide].map(({ session, shapes }) => new Decoder(ort, session, shapes, null).read(ids, 'all'))
  );
  expect(worst(a!, b!)).toBeLessThan(1e-5);
});

async function storyteller(more: Partial<Generation>) {
  const { session, shapes } = await base(`${stories}/hf`);
  const json = async (name: string) => JSON.parse(await readFile(`${stories}/hf/${name}`, 'utf8'));
  const text = createText({
    tokenizer: await json('tokenizer.json'),
    tokenizerConfig: await json('tokenizer_config.json'),
    modelConfig: await json('config.json')
  });
  const said: Record<string, string> = { base: '', adapter: '' };
  const ended: Record<string, Ended> = {};
  await generate({
    sides: (['base', 'adapter'] as const).map((side) => ({
      side,
      decoder: new Decoder(ort, session, shapes, null)
    })),
    prompt: text.prompt([{ role: 'user', content: 'Once upon a time' }]),
    text,
    sampling: { temperature: 0, top_p: 1, top_k: 0, seed: 1 },
    max_new_tokens: 60,
    context_tokens: 512,
    stopped: async () => false,
    onText: (side, piece) => (said[side] += piece),
    onEnded: (side, how) => (ended[side] = how),
    ...more
  });
  return { said, ended };
}

compared('greedy text goes on as llama2.c published it, on both sides', async () => {
  const { published_200_tokens_text: published } = JSON.parse(
    await readFile(`${stories}/golden-greedy.json`, 'utf8')
  );
  const { said, ended } = await storyteller({});
  expect(said.base!.length).toBeGreaterThan(100);
  expect(published.startsWith('Once upon a time' + said.base!)).toBe(true);
  expect(said.adapter).toBe(said.base);
  expect(ended.base).toMatchObject({ reason: 'length', tokens: 60 });
  expect(ended.base!.tokens_per_second).toBeGreaterThan(1);
});

compared('a prompt longer than a piece reads as it does at once', async () => {
  const story = 'Lily went to the park with her mom. '.repeat(40);
  const { session, shapes } = await base(`${stories}/hf`);
  const text = createText({ tokenizer: JSON.parse(await readFile(`${stories}/hf/tokenizer.json`, 'utf8')) });
  const prompt = text.encode(story).slice(0, 400);
  const logits = await new Decoder(ort, session, shapes, null).read(prompt);
  const pieces = new Decoder(ort, session, shapes, null);
  await pieces.read(prompt.slice(0, 256));
  expect(worst(await pieces.read(prompt.slice(256)), logits)).toBeLessThan(1e-4);
});

compared('ends where the base can hold no more, and where it is stopped', async () => {
  const { ended } = await storyteller({ context_tokens: 20 });
  expect(ended.base).toMatchObject({ reason: 'context' });
  let asked = 0;
  const stopped = await storyteller({ stopped: async () => ++asked > 10 });
  expect(stopped.ended.adapter).toMatchObject({ reason: 'stopped', tokens: 5 });
});
