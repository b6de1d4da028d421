import { appendFile, cp, mkdir, readFile, rename, rm, symlink, writeFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runsApp, type RunsApp } from './testing-runs.ts';
import { trainerBuilt } from './testing-model.ts';

let t: RunsApp;
beforeAll(async () => {
  if (trainerBuilt) t = await runsApp();
});
afterAll(() => t?.close());

const built = test.skipIf(!trainerBuilt);
const register = (path: string, token?: string) =>
  t.call('POST', '/api/v1/models', { body: { path }, ...(token ? { token } : {}) });

built('a base is read by the trainer, and registering it again gives the same one', async () => {
  const again = await register('tiny/');
  expect([again.status, again.body.id]).toEqual([200, t.model]);
  expect(again.body).toMatchObject({
    path: 'tiny',
    name: 'tiny',
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/)
  });
  expect(again.body.facts).toMatchObject({
    ...{ model_type: 'llama', vocab_size: 264, hidden_size: 32, num_hidden_layers: 2 },
    ...{ max_position_embeddings: 512, has_chat_template: false }
  });
  expect(again.body.facts.parameters).toBeGreaterThan(10_000);
  const listed = await t.call('GET', '/api/v1/models');
  expect(listed.body.items.map(({ id }: { id: string }) => id)).toContain(t.model);
  expect((await t.call('GET', `/api/v1/models/${t.model}`)).body).toEqual(again.body);
  expect((await t.call('GET', '/api/v1/models/model_none')).status).toBe(404);
});

built('no path leads out of the models folder', async () => {
  const outside = join(t.config.dataDir, 'outside');
  await cp(join(t.models, 'tiny'), outside, { recursive: true });
  await symlink(outside, join(t.models, 'linked'));
  await mkdir(join(t.models, 'halfway'));
  await cp(join(t.models, 'tiny/config.json'), join(t.models, 'halfway/config.json'));
  await symlink(join(outside, 'model.safetensors'), join(t.models, 'halfway/model.safetensors'));
  for (const path of [
    outside,
    '../outside',
    'tiny/../../outside',
    '.',
    '..',
    'tiny\\..',
    'linked',
    'halfway',
    'none'
  ]) {
    const { status, body } = await register(path);
    expect([path, status, body.code]).toEqual([path, 422, 'bad_model']);
    expect(body.detail).not.toContain(path === outside ? 'There is no' : t.models);
  }
});

built('what is wrong with a folder is one sentence without a path of the server', async () => {
  const broken = async (name: string, breakIt: (folder: string) => Promise<void>) => {
    const folder = join(t.models, name);
    await cp(join(t.models, 'tiny'), folder, { recursive: true });
    await breakIt(folder);
    const { status, body } = await register(name);
    expect([status, body.code]).toEqual([422, 'bad_model']);
    expect(body.detail).not.toContain(t.models);
    expect(body.detail).toMatch(/^[^\n]+[.?]$/);
    return body.detail as string;
  };
  expect(await broken('no-tokenizer', (folder) => rm(join(folder, 'tokenizer.json')))).toContain(
    'no tokenizer.json'
  );
  const sentencePiece = (folder: string) =>
    rename(join(folder, 'tokenizer.json'), join(folder, 'tokenizer.model'));
  expect(await broken('other-format', sentencePiece)).toBe(
    'The model has a SentencePiece or tiktoken model (tokenizer.model) and no tokenizer.json; write one beside the weights with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).'
  );
  const losesText = (folder: string) =>
    writeFile(join(folder, 'chat_template.jinja'), '{{ messages | length }}');
  expect(await broken('other-template', losesText)).toContain('The chat template loses the text of messages');
  const olderFile = (folder: string) =>
    writeFile(join(folder, 'special_tokens_map.json'), '{"bos_token": "<s>", "eos_token": "</s>"}').then(() =>
      writeFile(join(folder, 'tokenizer_config.json'), '{"eos_token": "</s>"}')
    );
  expect(await broken('older-file', olderFile)).toBe(
    'special_tokens_map.json names a bos_token that tokenizer_config.json does not; add it to tokenizer_config.json.'
  );
  const unknownFilter = (folder: string) =>
    writeFile(join(folder, 'chat_template.jinja'), '{{ 1 | groupby }}');
  expect(await broken('unknown-filter', unknownFilter)).toBe(
    "The chat template cannot be read: No filter named 'groupby'."
  );
  expect(await broken('no-weights', (folder) => rm(join(folder, 'model.safetensors')))).toContain(
    'model.safetensors'
  );
  const larger = async (folder: string) => {
    const path = join(folder, 'tokenizer.json');
    const tokenizer = JSON.parse(await readFile(path, 'utf8'));
    tokenizer.added_tokens.push({ ...tokenizer.added_tokens[0], id: 300, content: '<more>' });
    await writeFile(path, JSON.stringify(tokenizer));
  };
  expect(await broken('other-tokenizer', larger)).toBe(
    'The tokenizer does not fit the model: it has 301 tokens, the model 264.'
  );
  const cut = (folder: string) => truncate(join(folder, 'model.safetensors'), 100);
  expect(await broken('cut', cut)).toMatch(/is cut off inside its header; copy its files again, or take/);
  const configured = (change: object) => async (folder: string) => {
    const path = join(folder, 'config.json');
    await writeFile(path, JSON.stringify({ ...JSON.parse(await readFile(path, 'utf8')), ...change }));
  };
  expect(await broken('foreign', configured({ model_type: 'mamba' }))).toContain('"mamba" is not supported');
  expect(await broken('taller', configured({ num_hidden_layers: 3 }))).toMatch(
    /"model\.layers\.2\..*missing/
  );
  expect(await broken('lower', configured({ num_hidden_layers: 1 }))).toMatch(
    /"model\.layers\.1\..*no place/
  );
  const wrongJson = (folder: string) => writeFile(join(folder, 'tokenizer.json'), '{');
  expect(await broken('torn', wrongJson)).toContain('tokenizer.json of the model is not JSON');
});

built('a base whose files were changed is not the one that was registered', async () => {
  await cp(join(t.models, 'tiny'), join(t.models, 'changing'), { recursive: true });
  expect((await register('changing')).status).toBe(201);
  await appendFile(join(t.models, 'changing/tokenizer_config.json'), ' ');
  expect((await register('changing')).body.code).toBe('model_changed');
});

built('engineers register models, reviewers do not', async () => {
  const project = await t.project();
  const reviewer = await t.member(project, 'reviewer');
  const engineer = await t.member(project, 'engineer');
  expect((await register('tiny', reviewer.token)).status).toBe(403);
  expect((await register('tiny', engineer.token)).status).toBe(200);
  expect((await t.call('GET', '/api/v1/models', { token: null })).status).toBe(401);
});
