import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  readSafetensorsHeader,
  sliceTensor,
  toFloat32,
  writeSafetensors
} from '../../src/lib/tensors/safetensors.ts';
import type { TaskRecord } from '../tasks/index.ts';
import { readText } from './model-folder.ts';

export interface OutputScore {
  logp: number;
  tokens: number;
}

/** What the trainer says of each task's outputs, as sums, with a groups file that is laid out here and not by the server; `adapter`: a folder. */
export async function scoresOf(
  trainer: string,
  model: string,
  adapter: string | null,
  tasks: TaskRecord[]
): Promise<Map<string, OutputScore[]>> {
  const text = await readText(model);
  const groups = tasks.map(({ prompt, outputs }) => [
    text.prompt(prompt),
    ...outputs.map((output) => text.completion(prompt, output.text).ids)
  ]);
  const folder = await mkdtemp(join(tmpdir(), 'concord-scores-'));
  const [file, out] = [join(folder, 'groups.safetensors'), join(folder, 'scores.safetensors')];
  await writeFile(file, groupsFile(groups));
  const options = ['--model', model, ...(adapter ? ['--adapter', adapter] : [])];
  const { status, stderr } = spawnSync(trainer, ['score', ...options, '--groups', file, '--out', out]);
  if (status !== 0) throw new Error(`The trainer scored nothing: ${stderr}`);
  const bytes = new Uint8Array(await readFile(out));
  await rm(folder, { recursive: true });
  const logps = [...toFloat32(sliceTensor(bytes, readSafetensorsHeader(bytes, out), 'logps'), 'F32')];
  return new Map(
    tasks.map(({ id }, at) => [
      id,
      groups[at]!.slice(1).map(({ length }) => ({ logp: logps.shift()!, tokens: length }))
    ])
  );
}

function groupsFile(groups: number[][][]): Uint8Array {
  const tokens = Int32Array.from(groups.flat(2));
  const segments = ends(groups.flat().map(({ length }) => length));
  const group_segments = ends(groups.map(({ length }) => length));
  const line = (name: string, data: BigInt64Array) => ({
    ...{ name, dtype: 'I64' as const, shape: [data.length], data }
  });
  return writeSafetensors(
    [
      { name: 'tokens', dtype: 'I32', shape: [tokens.length], data: tokens },
      line('segments', segments),
      line('group_segments', group_segments)
    ],
    { format: 'groups.v1' }
  );
}

function ends(lengths: number[]): BigInt64Array {
  let sum = 0;
  return BigInt64Array.from([0, ...lengths.map((length) => (sum += length))], BigInt);
}
