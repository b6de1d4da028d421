import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { ModelFacts } from '#wire/model.ts';
import { checkFits, createText, TextError, type Text } from '../../src/lib/text/index.ts';
import type { Config } from '../config.ts';
import { Fault } from '../net/fault.ts';
import { inspect, TrainerRefusal } from './trainer.ts';

/** The path under which the base that comes with the repository is registered. */
export const DEMO = 'demo';

const refuse = (detail: string) => new Fault(422, 'bad_model', detail);

/** Absolute folder of a registered model. */
export function modelFolder(config: Config, path: string): string {
  return path === DEMO ? join(config.root, 'demo/model') : join(config.modelsDir, path);
}

/** Checks a path that a person gave: relative, inside the models folder also after symbolic links, a folder. */
export async function checkPath(config: Config, path: string): Promise<void> {
  const parts = path.split('/');
  if (
    isAbsolute(path) ||
    path.includes('\\') ||
    path.includes('\0') ||
    parts.some((part) => /^\.*$/.test(part))
  )
    throw refuse(
      'path: name a folder inside CONCORD_MODELS_DIR, like "llama-3.2-1b", without "..", "\\" or a leading "/".'
    );
  const folder = modelFolder(config, path);
  const real = await realpath(folder).catch(() => null);
  if (real === null || !(await stat(real)).isDirectory())
    throw refuse(`path: there is no folder "${path}" in CONCORD_MODELS_DIR; copy the model there first.`);
  const home = await realpath(config.modelsDir);
  await checkInside(home, real, path);
  for (const name of await readdir(real))
    await checkInside(home, await realpath(join(real, name)), `${path}/${name}`);
}

async function checkInside(home: string, real: string, path: string): Promise<void> {
  if (!real.startsWith(home + sep))
    throw refuse(
      `path: "${path}" is a link that leads out of CONCORD_MODELS_DIR; copy the model there instead.`
    );
}

export interface ModelReading {
  facts: ModelFacts;
  sha256: string;
}

/** What a model's folder holds: the trainer's word on the weights, ours on the tokenizer. Throws Fault 422. */
export async function readModel(config: Config, path: string): Promise<ModelReading> {
  const folder = modelFolder(config, path);
  const { architecture, parameters } = await inspectModel(config, folder);
  const text = await readText(folder);
  try {
    checkFits(text, architecture.vocab_size);
  } catch (error) {
    throw refuse((error as TextError).message);
  }
  const facts: ModelFacts = {
    model_type: architecture.model_type,
    parameters,
    vocab_size: architecture.vocab_size,
    hidden_size: architecture.hidden_size,
    num_hidden_layers: architecture.num_hidden_layers,
    max_position_embeddings: architecture.max_position_embeddings,
    dtype: architecture.dtype,
    bytes: await weightBytes(folder),
    has_chat_template: text.hasTemplate
  };
  return { facts, sha256: await hashFolder(folder) };
}

interface Inspection {
  architecture: Omit<ModelFacts, 'parameters' | 'bytes' | 'has_chat_template'>;
  parameters: number;
}

async function inspectModel(config: Config, folder: string): Promise<Inspection> {
  try {
    return (await inspect(config, ['--model', folder])) as Inspection;
  } catch (error) {
    if (error instanceof TrainerRefusal)
      throw refuse(
        `The model cannot be used: ${error.sentence('copy its files again, or take another model')}`
      );
    throw error;
  }
}

/** Vocabularies in files that only the model's own tokenizer class knows how to read, and what is in them. */
const OTHER_FORMATS: [name: RegExp, what: string][] = [
  [/^tekken\.json$/, 'a tekken vocabulary'],
  [/\.tiktoken$/, 'a tiktoken vocabulary'],
  [/\.gguf$/, 'a GGUF file'],
  [/^(tokenizer|spiece|sentencepiece.*)\.model(\..+)?$/, 'a SentencePiece or tiktoken model'],
  [/^(vocab\.json|merges\.txt)$/, 'a vocabulary of the older form']
];

/**
 * Other formats are not converted here: how they split text, which tokens they add and what they put before a word
 * stands in the model's tokenizer class and not in the file.
 */
async function refuseWithout(folder: string): Promise<Fault> {
  const names = await readdir(folder);
  const [found] = OTHER_FORMATS.flatMap(([name, what]) =>
    names.filter((one) => name.test(one)).map((one) => `${what} (${one})`)
  );
  const has = found ? `has ${found} and no tokenizer.json` : 'has no tokenizer.json';
  return refuse(
    `The model ${has}; write one beside the weights with transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER).`
  );
}

/** A file of older models, which the preview does not carry: what it alone knows would be missing without a word. */
function checkSpecialTokens(map: unknown, config: unknown): void {
  const [older, newer] = [map, config].map((one) => (one ?? {}) as Record<string, unknown>);
  for (const name of ['bos_token', 'eos_token'])
    if (older![name] && !newer![name])
      throw refuse(
        `special_tokens_map.json names a ${name} that tokenizer_config.json does not; add it to tokenizer_config.json.`
      );
}

/** The model's tokenizer and chat template; `now` is the date that a template may write. Throws Fault 422. */
export async function readText(folder: string, now?: Date): Promise<Text> {
  const json = async (name: string) => {
    const text = await readFile(join(folder, name), 'utf8').catch(() => undefined);
    try {
      return text === undefined ? undefined : (JSON.parse(text) as unknown);
    } catch {
      throw refuse(`${name} of the model is not JSON; copy the file again.`);
    }
  };
  const tokenizer = await json('tokenizer.json');
  const tokenizerConfig = await json('tokenizer_config.json');
  checkSpecialTokens(await json('special_tokens_map.json'), tokenizerConfig);
  if (tokenizer === undefined) throw await refuseWithout(folder);
  try {
    const files = {
      tokenizer,
      tokenizerConfig,
      chatTemplate: await readFile(join(folder, 'chat_template.jinja'), 'utf8').catch(() => undefined),
      generationConfig: await json('generation_config.json'),
      modelConfig: await json('config.json')
    };
    return createText(files, now && { now: () => now });
  } catch (error) {
    if (error instanceof TextError) throw refuse(error.message);
    throw error;
  }
}

/** The files that make the model what it is; a README or a picture beside them does not. */
async function modelFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  return names.filter((name) => /\.(safetensors|json|jinja)$/.test(name)).sort();
}

async function weightBytes(folder: string): Promise<number> {
  const weights = (await modelFiles(folder)).filter((name) => name.endsWith('.safetensors'));
  const sizes = await Promise.all(weights.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** One hash for the folder: that of the lines `sha256  name`, as sha256sum prints them. */
export async function hashFolder(folder: string): Promise<string> {
  const all = createHash('sha256');
  for (const name of await modelFiles(folder)) {
    const one = createHash('sha256');
    await pipeline(createReadStream(join(folder, name)), one);
    all.update(`${one.digest('hex')}  ${name}\n`);
  }
  return all.digest('hex');
}
