import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSafetensors } from '../../src/lib/tensors/safetensors.ts';
import { parseModelConfig } from './onnx/model-config.ts';
import { modelTensors } from './onnx/tensors.ts';

export const tinyConfig = {
  model_type: 'llama',
  vocab_size: 16,
  hidden_size: 8,
  intermediate_size: 12,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  tie_word_embeddings: true
};

/** A Llama checkpoint of a few hundred parameters, in Hugging Face layout. */
export async function writeTinyCheckpoint(
  folder: string,
  changes: Record<string, unknown> = {}
): Promise<void> {
  const config = { ...tinyConfig, ...changes };
  const tensors = [...modelTensors(parseModelConfig(tinyConfig))].map(([name, shape]) => {
    const data = new Float32Array(shape.reduce((a, b) => a * b));
    return { name, shape, dtype: 'F32' as const, data: data.map((_, i) => Math.sin(i + name.length)) };
  });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  await writeFile(join(folder, 'model.safetensors'), writeSafetensors(tensors));
  await writeFile(join(folder, 'tokenizer.json'), '{}');
}
