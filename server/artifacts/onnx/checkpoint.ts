import { open, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  headerBytes,
  readSafetensorsHeader,
  SafetensorsError,
  type SafetensorsHeader,
  type TensorPlace
} from '../../../src/lib/tensors/safetensors.ts';
import { modelTensors } from './tensors.ts';
import { parseModelConfig, type ModelConfig } from './model-config.ts';

export interface StoredTensor extends TensorPlace {
  /** The file's full path; never shown. */
  path: string;
}

export interface Checkpoint {
  config: ModelConfig;
  /** Exactly the weights that the configuration asks for. */
  tensors: Map<string, StoredTensor>;
}

const INDEX = 'model.safetensors.index.json';

/** Reads configuration and headers of a Hugging Face folder; weights stay on disk. */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const config = parseModelConfig(await readJson(await inside(folder, 'config.json')));
  const tensors = new Map<string, StoredTensor>();
  for (const name of await shardNames(folder)) {
    const path = await inside(folder, name);
    const header = await readHeader(path, name);
    for (const place of header.tensors.values()) tensors.set(place.name, { ...place, path });
  }
  return { config, tensors: check(config, tensors) };
}

function check(config: ModelConfig, stored: Map<string, StoredTensor>): Map<string, StoredTensor> {
  const wanted = new Map<string, StoredTensor>();
  for (const [name, shape] of modelTensors(config)) {
    const tensor = stored.get(name);
    if (!tensor) throw new SafetensorsError(`The model's weight "${name}" is missing.`);
    if (tensor.shape.join() !== shape.join())
      throw new SafetensorsError(
        `The model's weight "${name}" has the shape [${tensor.shape.join(', ')}], but its config.json asks for [${shape.join(', ')}].`
      );
    if (!['F32', 'F16', 'BF16'].includes(tensor.dtype))
      throw new SafetensorsError(
        `The model's weight "${name}" is ${tensor.dtype}, but must be F32, F16 or BF16.`
      );
    wanted.set(name, tensor);
  }
  return wanted;
}

async function shardNames(folder: string): Promise<string[]> {
  if (await stat(join(folder, 'model.safetensors')).catch(() => null)) return ['model.safetensors'];
  const index = await readJson(await inside(folder, INDEX));
  const names = [...new Set(Object.values((index.weight_map ?? {}) as Record<string, unknown>))];
  for (const name of names)
    if (typeof name !== 'string' || basename(name) !== name || !name.endsWith('.safetensors'))
      throw new SafetensorsError(
        `${INDEX} names ${JSON.stringify(name)}, which is no safetensors file of the folder.`
      );
  return names as string[];
}

/** A link may stay inside the folder; one that leads out could publish any file of this machine as a model. */
async function inside(folder: string, name: string): Promise<string> {
  const path = await realpath(join(folder, name)).catch(() => null);
  if (!path) throw new SafetensorsError(`The model's folder holds no ${name}.`);
  if (dirname(path) !== (await realpath(folder)))
    throw new SafetensorsError(`${name} of the model is a link to a place outside its folder.`);
  return path;
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
  } catch {
    throw new SafetensorsError(`${basename(path)} of the model is not JSON.`);
  }
}

async function readHeader(path: string, name: string): Promise<SafetensorsHeader> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const first = new Uint8Array(Math.min(8, size));
    await file.read(first, 0, first.byteLength, 0);
    const bytes = new Uint8Array(headerBytes(first, name, size));
    await file.read(bytes, 0, bytes.byteLength, 0);
    return readSafetensorsHeader(bytes, name, size);
  } finally {
    await file.close();
  }
}
