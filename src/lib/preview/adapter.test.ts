import { expect, test } from 'vitest';
import { fromFloat32, writeSafetensors } from '../tensors/safetensors.ts';
import { AdapterError, readAdapter } from './adapter.ts';

const linears = [
  { module: 'model.layers.0.self_attn.q_proj', in: 3, out: 2 },
  { module: 'model.layers.0.mlp.up_proj', in: 3, out: 4 }
];
const config = {
  peft_type: 'LORA',
  r: 2,
  lora_alpha: 8,
  target_modules: ['q_proj'],
  bias: 'none',
  use_dora: false
};

function weights(module = linears[0]!, r = 2, value = 1, dtype: 'F32' | 'BF16' = 'F32') {
  const tensor = (part: string, shape: [number, number]) => ({
    name: `base_model.model.${module.module}.${part}.weight`,
    dtype,
    shape,
    data: fromFloat32(new Float32Array(shape[0] * shape[1]).fill(value), dtype)
  });
  return writeSafetensors([tensor('lora_A', [r, module.in]), tensor('lora_B', [module.out, r])]);
}

test('scales B by alpha / r', () => {
  const inputs = readAdapter(config, weights(), linears);
  expect([...inputs.keys()]).toEqual(['lora_A', 'lora_B'].map((part) => `${linears[0]!.module}.${part}`));
  expect(inputs.get(`${linears[0]!.module}.lora_A`)).toEqual({
    dims: [2, 3],
    data: new Float32Array(6).fill(1)
  });
  expect(inputs.get(`${linears[0]!.module}.lora_B`)).toEqual({
    dims: [2, 2],
    data: new Float32Array(4).fill(4)
  });
});

const scale = (more: object, r = 2) =>
  readAdapter({ ...config, ...more }, weights(linears[0], r), linears).get(`${linears[0]!.module}.lora_B`)!
    .data[0];

test('knows rsLoRA and the patterns by layer', () => {
  expect(scale({ use_rslora: true })).toBeCloseTo(8 / Math.SQRT2, 6);
  expect(scale({ rank_pattern: { q_proj: 4 } }, 4)).toBe(2);
  expect(scale({ alpha_pattern: { 'self_attn.q_proj': 2 } })).toBe(1);
  expect(scale({ lora_alpha: undefined })).toBe(4);
});

test('reads 16-bit weights', () => {
  const inputs = readAdapter(config, weights(linears[0], 2, 0.5, 'BF16'), linears);
  expect(inputs.get(`${linears[0]!.module}.lora_A`)!.data[0]).toBe(0.5);
});

const refused: [string, unknown, Uint8Array, string][] = [
  ['no object', 'LORA', weights(), 'adapter_config.json is not an object'],
  ['another method', { ...config, peft_type: 'IA3' }, weights(), 'peft_type is "IA3"'],
  ['DoRA', { ...config, use_dora: true }, weights(), 'use_dora is set'],
  ['saved modules', { ...config, modules_to_save: ['lm_head'] }, weights(), 'modules_to_save is set'],
  ['biases', { ...config, bias: 'all' }, weights(), 'bias is "all"'],
  ['rank 0', { ...config, r: 0 }, weights(), 'r is 0'],
  ['foreign layers', { ...config, target_modules: ['c_attn'] }, weights(), 'names no layer of this model'],
  ['another rank', { ...config, r: 4 }, weights(), 'has the shape [2, 3], but [4, 3] is due'],
  ['a layer missing', { ...config, target_modules: 'all-linear' }, weights(), 'is missing'],
  ['a layer too many', config, weights(linears[1]), 'is missing'],
  ['infinite', config, weights(linears[0], 2, Infinity), 'holds NaN or infinity'],
  ['cut off', config, weights().subarray(0, -1), 'cut off']
];
test.each(refused)('refuses %s, saying what is wrong', (_, json, bytes, sentence) => {
  expect(() => readAdapter(json, bytes, linears)).toThrow(sentence);
});

test('refuses a weight that has no place', () => {
  const both = writeSafetensors([
    ...['lora_A', 'lora_B', 'lora_magnitude_vector'].map((part) => ({
      name: `base_model.model.${linears[0]!.module}.${part}.weight`,
      dtype: 'F32' as const,
      shape: part === 'lora_A' ? [2, 3] : [2, 2],
      data: new Float32Array(part === 'lora_A' ? 6 : 4)
    }))
  ]);
  const read = () => readAdapter(config, both, linears);
  expect(read).toThrow(AdapterError);
  expect(read).toThrow('lora_magnitude_vector.weight" has no place in this model');
});
