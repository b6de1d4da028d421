import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { PreviewManifest } from '#wire/preview.ts';
import type { AdapterFile } from '#wire/adapter.ts';
import { limits } from '../limits.ts';
import { hashFolder } from '../runs/index.ts';
import { openCheckpoint, type Checkpoint } from './onnx/checkpoint.ts';
import { exportOnnx } from './onnx/export.ts';
import { modelLinears } from './onnx/tensors.ts';

/** Stands in the folder's name: a graph written differently is other files under other addresses. */
const GRAPH_VERSION = 1;

const TEXT_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja'
];

/** A model that no browser can run; the sentence says why. */
export class PreviewError extends Error {}

export interface PreviewSource {
  /** Of the model's files, as it was registered. */
  sha256: string;
  folder: string;
  parameters: number;
}

export type PreviewFacts = Omit<PreviewManifest, 'model' | 'name'>;

const building = new Map<string, Promise<PreviewFacts>>();

export const previewFolder = (home: string, sha256: string) => join(home, `${sha256}-${GRAPH_VERSION}`);

/** The preview's files of a model below `home`: made once, whole or not at all, by whoever asks first. */
export async function ensurePreview(home: string, source: PreviewSource): Promise<PreviewFacts> {
  const folder = previewFolder(home, source.sha256);
  const there = await readFile(join(folder, 'manifest.json'), 'utf8').catch(() => null);
  if (there) return JSON.parse(there) as PreviewFacts;
  const running = building.get(folder);
  if (running) return running;
  const made = build(folder, source).finally(() => building.delete(folder));
  building.set(folder, made);
  return made;
}

async function build(folder: string, source: PreviewSource): Promise<PreviewFacts> {
  if (source.parameters > limits.preview.parameters_max)
    throw new PreviewError(
      `This base has ${source.parameters} parameters; a browser can hold ${limits.preview.parameters_max} at most. Choose a smaller base to preview its adapters.`
    );
  await checkUnchanged(source);
  const making = `${folder}.making`;
  // Left over from a server that ended while it wrote.
  await rm(making, { recursive: true, force: true });
  await mkdir(making, { recursive: true });
  try {
    const checkpoint = await openCheckpoint(source.folder);
    const names = await exportOnnx(checkpoint, making, limits.preview.part_bytes_max);
    names.push(...(await copyText(source.folder, making)));
    const facts = await describe(making, names, checkpoint);
    await writeFile(join(making, 'manifest.json'), JSON.stringify(facts));
    await rename(making, folder);
    return facts;
  } catch (error) {
    await rm(making, { recursive: true, force: true });
    throw error;
  }
}

/** Browsers keep the files under this hash for ever, and adapters were trained on these very weights. */
async function checkUnchanged({ folder, sha256 }: PreviewSource): Promise<void> {
  if (!existsSync(folder))
    throw new PreviewError('The folder of this base is gone; put it back where it was registered.');
  if ((await hashFolder(folder)) !== sha256)
    throw new PreviewError(
      'The files of this base were changed since it was registered; put them back, and register the new ones in a folder of their own.'
    );
}

async function copyText(from: string, to: string): Promise<string[]> {
  const home = await realpath(from);
  const present = (await readdir(from)).filter((name) => TEXT_FILES.includes(name));
  for (const name of present) {
    const path = await realpath(join(from, name));
    if (dirname(path) !== home)
      throw new PreviewError(`${name} of the model is a link to a place outside its folder.`);
    await copyFile(path, join(to, name));
  }
  return present;
}

async function describe(folder: string, names: string[], { config }: Checkpoint): Promise<PreviewFacts> {
  const files: AdapterFile[] = [];
  for (const name of names) files.push(await hashFile(join(folder, name)));
  const all = createHash('sha256');
  for (const { name, sha256 } of files) all.update(`${sha256}  ${name}\n`);
  return {
    sha256: all.digest('hex'),
    files,
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
    vocab_size: config.vocab_size,
    num_hidden_layers: config.num_hidden_layers,
    num_key_value_heads: config.num_key_value_heads,
    head_dim: config.head_dim,
    max_position_embeddings: config.max_position_embeddings,
    linears: modelLinears(config).map(({ module, in: from, out }) => ({ module, in: from, out }))
  };
}

async function hashFile(path: string): Promise<AdapterFile> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return { name: basename(path), bytes: (await stat(path)).size, sha256: hash.digest('hex') };
}
