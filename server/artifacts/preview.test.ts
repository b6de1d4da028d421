import { createHash } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PreviewManifest } from '#wire/preview.ts';
import { makeModel, trainerBuilt } from '../runs/testing-model.ts';
import { runsApp, type RunsApp } from '../runs/testing-runs.ts';

let t: RunsApp;
beforeAll(async () => {
  if (trainerBuilt) t = await runsApp();
});
afterAll(() => t?.close());

const withTrainer = test.skipIf(!trainerBuilt);
const manifestOf = (model: string, token?: string | null) =>
  t.call('GET', `/api/v1/models/${model}/preview`, { token });

withTrainer('a base is handed to browsers file by file, under addresses that never change', async () => {
  const { status, body, response } = await manifestOf(t.model);
  expect([status, response.headers.get('cache-control')]).toEqual([200, 'private, no-cache']);
  const manifest = body as PreviewManifest;
  expect(manifest).toMatchObject({ model: t.model, name: 'tiny', vocab_size: 264, num_hidden_layers: 2 });
  expect(manifest.files.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['model.onnx', 'weights-0.bin', 'tokenizer.json', 'config.json'])
  );
  for (const { name, bytes, sha256 } of manifest.files) {
    const path = `/api/v1/models/${t.model}/preview/${name}`;
    const { response } = await t.call('GET', `${path}?sha256=${sha256}`);
    const content = Buffer.from(await response.arrayBuffer());
    expect([content.length, response.headers.get('content-length')]).toEqual([bytes, String(bytes)]);
    expect(createHash('sha256').update(content).digest('hex')).toBe(sha256);
    expect(response.headers.get('cache-control')).toBe('private, max-age=31536000, immutable');
    const bare = await t.call('GET', path);
    expect(bare.response.headers.get('cache-control')).toBe('private, no-cache');
    await bare.response.body!.cancel();
    const replaced = await t.call('GET', `${path}?sha256=${'0'.repeat(64)}`);
    expect([replaced.status, replaced.body.code]).toEqual([409, 'model_changed']);
  }
});

withTrainer('only what the manifest names, and only to who is signed in', async () => {
  for (const name of ['model.safetensors', 'manifest.json', '..', '..%2Fmanifest.json', '%2Fetc%2Fpasswd'])
    expect((await t.call('GET', `/api/v1/models/${t.model}/preview/${name}`)).status).toBe(404);
  expect((await manifestOf('model_nobody')).status).toBe(404);
  expect((await manifestOf(t.model, null)).status).toBe(401);
  expect((await t.call('GET', `/api/v1/models/${t.model}/preview/model.onnx`, { token: null })).status).toBe(
    401
  );
});

withTrainer(
  'a base whose files were exchanged or are gone is named, and no half preview is left',
  async () => {
    await makeModel(t.config.trainer, join(t.models, 'spoilt'));
    const settings = join(t.models, 'spoilt', 'generation_config.json');
    await writeFile(settings, '{"eos_token_id": 257}');
    const { body: model } = await t.call('POST', '/api/v1/models', { body: { path: 'spoilt' } });
    await writeFile(settings, '{"eos_token_id": 0}');
    const exchanged = await manifestOf(model.id);
    expect([exchanged.status, exchanged.body.code]).toEqual([422, 'no_preview']);
    expect(exchanged.body.detail).toContain('were changed since it was registered');
    await rm(join(t.models, 'spoilt'), { recursive: true });
    const gone = await manifestOf(model.id);
    expect([gone.status, gone.body.code]).toEqual([422, 'no_preview']);
    expect(gone.body.detail).toContain('is gone');
  }
);
