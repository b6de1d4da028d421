import { mkdir, mkdtemp, readdir, rename, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { limits } from '../limits.ts';
import { hashFolder } from '../runs/index.ts';
import { ensurePreview, previewFolder } from './preview-folder.ts';
import { writeTinyCheckpoint } from './testing-checkpoint.ts';

let root: string;
let home: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'concord-preview-'));
  home = join(root, 'preview');
  folder = join(root, 'model');
});
afterEach(() => rm(root, { recursive: true, force: true }));

const source = async (parameters = 500) => ({ sha256: await hashFolder(folder), folder, parameters });
const here = () => readdir(home).catch(() => []);

test('is made once, however many ask at once', async () => {
  await writeTinyCheckpoint(folder);
  const model = await source();
  const made = previewFolder(home, model.sha256);
  const all = await Promise.all(Array.from({ length: 5 }, () => ensurePreview(home, model)));
  expect(new Set(all).size).toBe(1);
  expect(await here()).toEqual([basename(made)]);
  const { mtimeMs } = await stat(join(made, 'model.onnx'));
  expect(await ensurePreview(home, model)).toEqual(all[0]);
  expect((await stat(join(made, 'model.onnx'))).mtimeMs).toBe(mtimeMs);
  expect(all[0]!.files.map(({ name }) => name)).toEqual([
    'model.onnx',
    'weights-0.bin',
    'config.json',
    'tokenizer.json'
  ]);
  expect(all[0]!.linears).toHaveLength(7);
});

test('what a server that was killed left behind is made anew', async () => {
  await writeTinyCheckpoint(folder);
  const model = await source();
  const made = previewFolder(home, model.sha256);
  const left = `${made}.making`;
  await mkdir(left, { recursive: true });
  await writeFile(join(left, 'weights-0.bin'), 'half');
  await ensurePreview(home, model);
  expect(await here()).toEqual([basename(made)]);
});

test('weights that were exchanged since the base was registered are not passed off as it', async () => {
  await writeTinyCheckpoint(folder);
  const model = await source();
  await writeTinyCheckpoint(folder, { rope_theta: 500_000 });
  await expect(ensurePreview(home, model)).rejects.toThrow('were changed since it was registered');
  expect(await here()).toEqual([]);
});

test('a base that no browser can hold is refused before anything is written', async () => {
  await writeTinyCheckpoint(folder);
  await expect(ensurePreview(home, await source(limits.preview.parameters_max + 1))).rejects.toThrow(
    'This base has 700000001 parameters; a browser can hold 700000000 at most.'
  );
  expect(await here()).toEqual([]);
});

const broken: [string, () => Promise<unknown>, string][] = [
  ['cut off', () => truncate(join(folder, 'model.safetensors'), 3000), 'the file is cut off'],
  ['gone', () => rm(join(folder, 'model.safetensors')), 'holds no model.safetensors.index.json'],
  [
    'not of this shape',
    () => writeTinyCheckpoint(folder, { hidden_size: 16 }),
    'but its config.json asks for'
  ],
  ['of another family', () => writeTinyCheckpoint(folder, { model_type: 'gemma2' }), 'supported: llama'],
  [
    'with unknown positions',
    () => writeTinyCheckpoint(folder, { rope_scaling: { type: 'yarn' } }),
    'rope_type "yarn"'
  ],
  ['with odd heads', () => writeTinyCheckpoint(folder, { head_dim: 3 }), 'head_dim is odd'],
  [
    'without a size',
    () => writeTinyCheckpoint(folder, { vocab_size: null }),
    'vocab_size in config.json is not a number'
  ]
];

test.each(broken)('a model that is %s leaves nothing behind', async (_, spoil, sentence) => {
  await writeTinyCheckpoint(folder);
  await spoil();
  await expect(ensurePreview(home, await source())).rejects.toThrow(sentence);
  expect(await here()).toEqual([]);
});

test.each(['model.safetensors', 'tokenizer.json'])('%s may not be a link out of the folder', async (name) => {
  await writeTinyCheckpoint(folder);
  await rename(join(folder, name), join(root, name));
  await symlink(join(root, name), join(folder, name));
  await expect(ensurePreview(home, await source())).rejects.toThrow(
    `${name} of the model is a link to a place outside`
  );
  expect(await here()).toEqual([]);
});

test('an index may name only files of the folder', async () => {
  await writeTinyCheckpoint(folder);
  await rm(join(folder, 'model.safetensors'));
  const index = { weight_map: { 'model.norm.weight': '../secret.safetensors' } };
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify(index));
  await expect(ensurePreview(home, await source())).rejects.toThrow('no safetensors file of the folder');
});
