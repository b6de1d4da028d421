import { readFile, writeFile } from 'node:fs/promises';
import {
  readSafetensorsHeader,
  sliceTensor,
  toBigInt64,
  toInt32,
  writeSafetensors
} from '../src/lib/tensors/safetensors.ts';

/** A prompt and its completions in token ids; pairs are (chosen, rejected) places among the completions. */
export interface Group {
  prompt: number[];
  completions: number[][];
  pairs?: [number, number][];
}

/** Writes the trainer's groups.v1; with pairs where any group has some. */
export async function writeGroups(path: string, groups: readonly Group[]): Promise<void> {
  const tokens: number[] = [];
  const segments = [0];
  const starts = [0];
  const pairs: number[] = [];
  for (const { prompt, completions, pairs: own = [] } of groups) {
    const first = segments.length;
    for (const segment of [prompt, ...completions]) {
      for (const id of segment) tokens.push(id);
      segments.push(tokens.length);
    }
    starts.push(segments.length - 1);
    for (const [chosen, rejected] of own) pairs.push(first + chosen, first + rejected);
  }
  const int64 = (name: string, values: number[]) => ({
    ...{ name, dtype: 'I64' as const, shape: [values.length] },
    data: BigInt64Array.from(values, BigInt)
  });
  const tensors = [
    { name: 'tokens', dtype: 'I32' as const, shape: [tokens.length], data: Int32Array.from(tokens) },
    int64('segments', segments),
    int64('group_segments', starts)
  ];
  const paired = {
    name: 'pairs',
    dtype: 'I32' as const,
    shape: [pairs.length / 2, 2],
    data: Int32Array.from(pairs)
  };
  await writeFile(
    path,
    writeSafetensors(pairs.length ? [...tensors, paired] : tensors, { format: 'groups.v1' })
  );
}

/** The completions of each group in a groups file. */
export async function readCompletions(path: string): Promise<number[][][]> {
  const bytes = new Uint8Array(await readFile(path));
  const header = readSafetensorsHeader(bytes, path);
  const tokens = toInt32(sliceTensor(bytes, header, 'tokens'));
  const [segments, starts] = ['segments', 'group_segments'].map((name) =>
    [...toBigInt64(sliceTensor(bytes, header, name))].map(Number)
  );
  return starts!.slice(0, -1).map((start, g) =>
    Array.from({ length: starts![g + 1]! - start - 1 }, (_, k) => {
      const segment = start + 1 + k;
      return [...tokens.subarray(segments![segment], segments![segment + 1])];
    })
  );
}
