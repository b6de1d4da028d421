import {
  readSafetensorsHeader,
  sliceTensor,
  toFloat32,
  type SafetensorsHeader
} from '../tensors/safetensors.ts';
import type { AdapterInputs, Shapes } from './decoder.ts';

/** An adapter that does not fit, in one sentence that names the file and the key or weight. */
export class AdapterError extends Error {}

type Json = Record<string, unknown>;

/** Options of other variants than plain LoRA; PEFT writes each with its "off" value. */
const KNOWN = new Set(
  'peft_type r lora_alpha lora_dropout target_modules rank_pattern alpha_pattern use_rslora task_type bias init_lora_weights base_model_name_or_path auto_mapping revision inference_mode peft_version megatron_core qalora_group_size runtime_config eva_config'.split(
    ' '
  )
);

interface Target {
  module: string;
  in: number;
  out: number;
  r: number;
  scaling: number;
}

/** PEFT's two files as inputs of the graph; accepts what the trainer accepts and writes. */
export function readAdapter(config: unknown, weights: Uint8Array, linears: Shapes['linears']): AdapterInputs {
  const targets = readTargets(config, linears);
  const header = readSafetensorsHeader(weights, 'adapter_model.safetensors');
  const inputs: AdapterInputs = new Map();
  for (const target of targets) {
    const a = matrix(weights, header, `${target.module}.lora_A`, [target.r, target.in]);
    const b = matrix(weights, header, `${target.module}.lora_B`, [target.out, target.r]);
    inputs.set(`${target.module}.lora_A`, { data: a, dims: [target.r, target.in] });
    inputs.set(`${target.module}.lora_B`, {
      data: b.map((value) => value * target.scaling),
      dims: [target.out, target.r]
    });
  }
  if (header.tensors.size !== inputs.size) {
    const extra = [...header.tensors.keys()].find((name) => !inputs.has(inputName(name)));
    throw new AdapterError(`adapter_model.safetensors: the weight "${extra}" has no place in this model.`);
  }
  return inputs;
}

const weightName = (input: string) => `base_model.model.${input}.weight`;
const inputName = (weight: string) => weight.replace(/^base_model\.model\./, '').replace(/\.weight$/, '');

function matrix(bytes: Uint8Array, header: SafetensorsHeader, input: string, shape: number[]): Float32Array {
  const name = weightName(input);
  const place = header.tensors.get(name);
  if (!place) throw new AdapterError(`adapter_model.safetensors: the weight "${name}" is missing.`);
  if (place.shape.join() !== shape.join())
    throw new AdapterError(
      `adapter_model.safetensors: the weight "${name}" has the shape [${place.shape.join(', ')}], but [${shape.join(', ')}] is due for this model and rank.`
    );
  const values = toFloat32(sliceTensor(bytes, header, name), place.dtype);
  if (!values.every(Number.isFinite))
    throw new AdapterError(`adapter_model.safetensors: the weight "${name}" holds NaN or infinity.`);
  return values;
}

function readTargets(config: unknown, linears: Shapes['linears']): Target[] {
  if (typeof config !== 'object' || config === null)
    throw new AdapterError('adapter_config.json is not an object.');
  const json = config as Json;
  if (json.peft_type !== 'LORA') throw refusal('peft_type', json.peft_type, 'LORA');
  if ((json.bias ?? 'none') !== 'none') throw refusal('bias', json.bias, 'none');
  for (const [key, value] of Object.entries(json))
    if (!KNOWN.has(key) && !isOff(value))
      throw new AdapterError(
        `adapter_config.json: ${key} is set, which cannot be previewed; supported: plain LoRA.`
      );
  const r = positive(json, 'r', 8);
  const alpha = positive(json, 'lora_alpha', 8);
  const names = json.target_modules ?? ['q_proj', 'v_proj'];
  const targets = linears.filter(({ module }) =>
    names === 'all-linear' ? true : Array.isArray(names) && names.some((name) => matches(module, name))
  );
  if (!targets.length)
    throw new AdapterError('adapter_config.json: target_modules names no layer of this model.');
  return targets.map((linear) => {
    const rank = byPattern(json, 'rank_pattern', linear.module, r);
    const own = byPattern(json, 'alpha_pattern', linear.module, alpha);
    return { ...linear, r: rank, scaling: own / (json.use_rslora === true ? Math.sqrt(rank) : rank) };
  });
}

const refusal = (key: string, value: unknown, supported: string) =>
  new AdapterError(
    `adapter_config.json: ${key} is ${JSON.stringify(value)}, which cannot be previewed; supported: ${supported}.`
  );

function isOff(value: unknown): boolean {
  if (value === null || value === false) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function positive(json: Json, key: string, fallback: number): number {
  const value = json[key] ?? fallback;
  if (typeof value !== 'number' || !(value >= 0) || (key === 'r' && !(Number.isInteger(value) && value >= 1)))
    throw new AdapterError(
      `adapter_config.json: ${key} is ${JSON.stringify(value)}, but must be a positive number.`
    );
  return value;
}

/** PEFT's rule for plain names: the whole module name or an ending after a dot. */
const matches = (module: string, name: unknown) => module === name || module.endsWith(`.${String(name)}`);

function byPattern(json: Json, key: string, module: string, otherwise: number): number {
  const found = Object.entries((json[key] ?? {}) as Json).find(([name]) => matches(module, name));
  if (!found) return otherwise;
  if (typeof found[1] !== 'number' || !(found[1] > 0))
    throw new AdapterError(`adapter_config.json: ${key}.${found[0]} is not a positive number.`);
  return found[1];
}
