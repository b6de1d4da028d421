import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import { limits } from '../limits.ts';
import { readCsv } from './csv.ts';
import { readJsonArray } from './json-array.ts';
import { readJsonl } from './jsonl.ts';
import { readParquet } from './parquet.ts';
import { FileFault, isGzip, type Chunks, type ReadRow } from './reading.ts';

export const contentTypes = [
  'application/jsonl',
  'application/json',
  'text/csv',
  'application/vnd.apache.parquet'
] as const;
export type ContentType = (typeof contentTypes)[number];

/** The rows of a file on disk, some at a time, in its order. */
export async function* readFileRows(
  path: string,
  type: ContentType,
  declaredGzip: boolean
): AsyncGenerator<ReadRow[]> {
  const gzip = declaredGzip || isGzip(await beginningOf(path));
  if (type === 'application/vnd.apache.parquet') {
    if (gzip) throw new FileFault('A Parquet file is packed in itself; send it without gzip.');
    return yield* readParquet(path);
  }
  const packed = createReadStream(path, { highWaterMark: 256 * 1024 });
  yield* readRows(gzip ? unpack(packed) : packed, type);
}

async function beginningOf(path: string): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(2), 0, 2, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

export function readRows(chunks: Chunks, type: ContentType): AsyncGenerator<ReadRow[]> {
  if (type === 'text/csv') return readCsv(chunks);
  return type === 'application/json' ? readJsonArray(chunks) : readJsonl(chunks);
}

/** Unpacks as it goes and stops at what no honest file needs: a small body may hold terabytes of zeros. */
async function* unpack(packed: ReturnType<typeof createReadStream>): Chunks {
  const { file_bytes_max, gzip_ratio_max, gzip_ratio_from_bytes } = limits.intake;
  const gunzip = createGunzip({ chunkSize: 256 * 1024 });
  packed.on('error', (error) => gunzip.destroy(error));
  packed.pipe(gunzip);
  let bytes = 0;
  try {
    for await (const chunk of gunzip) {
      bytes += (chunk as Uint8Array).byteLength;
      if (bytes > file_bytes_max)
        throw new FileFault(`Unpacked, the file is larger than ${file_bytes_max} bytes.`);
      if (bytes > gzip_ratio_from_bytes && bytes > packed.bytesRead * gzip_ratio_max)
        throw new FileFault(
          `The file unpacks to more than ${gzip_ratio_max} times its size; send it unpacked.`
        );
      yield chunk as Uint8Array;
    }
  } catch (error) {
    if (error instanceof FileFault) throw error;
    throw new FileFault(`The gzip data are broken after ${bytes} unpacked bytes; send the file again.`);
  } finally {
    packed.destroy();
    gunzip.destroy();
  }
}
