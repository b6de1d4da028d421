import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  fromFloat32,
  readSafetensorsHeader,
  sliceTensor,
  toFloat32,
  writeSafetensors
} from '../src/lib/tensors/safetensors.ts';

/** Copies a checkpoint's config and weights with the weights in F16, half the bytes. */
export async function halve(from: string, to: string): Promise<void> {
  const config = JSON.parse(await readFile(join(from, 'config.json'), 'utf8')) as Record<string, unknown>;
  const { torch_dtype: _old, dtype: _new, ...rest } = config;
  await writeFile(
    join(to, 'config.json'),
    `${JSON.stringify({ ...rest, torch_dtype: 'float16' }, null, 2)}\n`
  );
  const file = join(from, 'model.safetensors');
  const bytes = new Uint8Array(await readFile(file));
  const header = readSafetensorsHeader(bytes, file);
  const tensors = [...header.tensors].map(([name, { dtype, shape }]) => ({
    ...{ name, dtype: 'F16' as const, shape: [...shape] },
    data: fromFloat32(toFloat32(sliceTensor(bytes, header, name), dtype), 'F16')
  }));
  await writeFile(join(to, 'model.safetensors'), writeSafetensors(tensors, { format: 'pt' }));
}
