import { open, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpoint, StoredTensor } from './checkpoint.ts';
import type { Element } from './graph.ts';
import { llamaGraph, type Weight } from './llama.ts';

/** onnxruntime maps external data at this alignment. */
const ALIGN_BYTES = 64;
const COPY_BYTES = 4 << 20;

interface Part {
  file: string;
  tensors: { from: StoredTensor; offset: number }[];
  bytes: number;
}

/** Writes `model.onnx` and its weights into the folder, in parts of about `part_bytes_max`; answers with their names. */
export async function exportOnnx(
  { config, tensors }: Checkpoint,
  folder: string,
  part_bytes_max: number
): Promise<string[]> {
  const parts = planParts([...tensors.values()], part_bytes_max);
  for (const part of parts) await writePart(part, folder);
  const weights = new Map<string, Weight>();
  for (const { file, tensors } of parts)
    for (const { from, offset } of tensors)
      weights.set(from.name, {
        file,
        offset,
        bytes: from.end - from.begin,
        element: from.dtype as Element,
        shape: from.shape
      });
  await writeFile(join(folder, 'model.onnx'), llamaGraph(config, weights));
  return ['model.onnx', ...parts.map(({ file }) => file)];
}

/** A tensor is never split, so one that is larger than a part makes a larger part. */
function planParts(tensors: StoredTensor[], part_bytes_max: number): Part[] {
  const parts: Part[] = [];
  for (const from of tensors) {
    let part = parts.at(-1);
    const offset = part ? Math.ceil(part.bytes / ALIGN_BYTES) * ALIGN_BYTES : 0;
    if (!part || offset + from.end - from.begin > part_bytes_max) {
      part = { file: `weights-${parts.length}.bin`, tensors: [], bytes: 0 };
      parts.push(part);
    }
    const at = part.bytes === 0 ? 0 : offset;
    part.tensors.push({ from, offset: at });
    part.bytes = at + from.end - from.begin;
  }
  return parts;
}

async function writePart(part: Part, folder: string): Promise<void> {
  const out = await open(join(folder, part.file), 'wx');
  try {
    for (const { from, offset } of part.tensors) await copyTensor(from, out, offset);
    await out.sync();
  } finally {
    await out.close();
  }
}

async function copyTensor(from: StoredTensor, out: FileHandle, offset: number): Promise<void> {
  const source = await open(from.path);
  try {
    const total = from.end - from.begin;
    const buffer = new Uint8Array(Math.min(COPY_BYTES, total));
    for (let at = 0; at < total;) {
      const length = Math.min(buffer.byteLength, total - at);
      const { bytesRead } = await source.read(buffer, 0, length, from.begin + at);
      if (!bytesRead) throw new Error(`The weight "${from.name}" ended early while it was copied.`);
      await out.write(buffer, 0, bytesRead, offset + at);
      at += bytesRead;
    }
  } finally {
    await source.close();
  }
}
