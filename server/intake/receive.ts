import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isFull } from '../db/disk.ts';
import { limits } from '../limits.ts';
import { Fault } from '../net/fault.ts';
import type { Chunks } from './reading.ts';

export interface Received {
  bytes: number;
  sha256: string;
}

export const fileOf = (dataDir: string, id: string) => join(dataDir, 'imports', `${id}.file`);

/**
 * Writes a body to disk as it arrives and syncs it before anything says that it is here. Whatever goes wrong (too
 * large, the sender gone, the disk full) leaves no file behind.
 */
export async function receive(
  dataDir: string,
  id: string,
  body: Chunks,
  reserveBytes: number = limits.db.disk_reserve_bytes
): Promise<Received> {
  const path = fileOf(dataDir, id);
  const part = `${path}.part`;
  const chunks = body[Symbol.asyncIterator]();
  try {
    await mkdir(join(dataDir, 'imports'), { recursive: true });
    // Without `return`, so that a loop that ends early does not cancel the body.
    const unbroken = { [Symbol.asyncIterator]: () => ({ next: () => chunks.next() }) };
    const received = await write(part, unbroken, reserveBytes);
    await rename(part, path);
    await syncFolder(join(dataDir, 'imports'));
    return received;
  } catch (error) {
    await rm(part, { force: true });
    await rm(path, { force: true });
    await drain(chunks);
    throw faultOf(error);
  }
}

/** Lets the rest of a body come, within reason: a browser that is cut off while it sends reads no answer. */
async function drain(chunks: AsyncIterator<Uint8Array>): Promise<void> {
  try {
    for (let bytes = 0; bytes < limits.intake.drained_bytes_max;) {
      const { done, value } = await chunks.next();
      if (done) return;
      bytes += value.byteLength;
    }
    await chunks.return?.();
  } catch {
    // The sender is gone, and with it whoever would read the answer.
  }
}

const LOOK_EVERY_BYTES = 8 * 1_048_576;

async function write(path: string, body: Chunks, reserveBytes: number): Promise<Received> {
  const file = await open(path, 'wx', 0o600);
  try {
    const hash = createHash('sha256');
    let bytes = 0;
    let looked = -Infinity;
    for await (const chunk of body) {
      if (bytes - looked >= LOOK_EVERY_BYTES) {
        if (isFull(dirname(path), reserveBytes)) throw diskFull();
        looked = bytes;
      }
      bytes += chunk.byteLength;
      if (bytes > limits.intake.file_bytes_max)
        throw new Fault(
          413,
          'file_too_large',
          `A file may have ${limits.intake.file_bytes_max} bytes at most; split it.`
        );
      hash.update(chunk);
      await file.writeFile(chunk);
    }
    if (!bytes) throw new Fault(422, 'empty_file', 'The body is empty; send the file as the body.');
    await file.sync();
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

const diskFull = () =>
  new Fault(507, 'disk_full', 'The disk of the server is full; free some space and send the file again.');

/** `53100` is PostgreSQL's. */
export function faultOf(error: unknown): unknown {
  const { code, cause } = error as { code?: string; cause?: { code?: string } };
  return ['ENOSPC', 'EDQUOT', '53100'].includes(code ?? cause?.code ?? '') ? diskFull() : error;
}
