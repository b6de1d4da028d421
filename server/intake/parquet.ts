import {
  asyncBufferFromFile,
  parquetMetadataAsync,
  parquetReadObjects,
  type AsyncBuffer,
  type FileMetaData
} from 'hyparquet';
import { FileFault, type ReadRow } from './reading.ts';

const ROWS_AT_ONCE = 512;

/** Rows of a Parquet file, a slice at a time; lists and structs come as arrays and objects. */
export async function* readParquet(path: string): AsyncGenerator<ReadRow[]> {
  const { file, metadata } = await open(path);
  let from = 0;
  // By row group: a smaller slice would have its whole group unpacked again each time.
  for (const group of metadata.row_groups) {
    const to = from + Number(group.num_rows);
    const rows = await read(file, metadata, from, to);
    for (let i = 0; i < rows.length; i += ROWS_AT_ONCE)
      yield rows
        .slice(i, i + ROWS_AT_ONCE)
        .map((value, k) => ({ line: from + i + k + 1, value: plain(value) }));
    from = to;
  }
}

async function open(path: string): Promise<{ file: AsyncBuffer; metadata: FileMetaData }> {
  try {
    const file = await asyncBufferFromFile(path);
    return { file, metadata: await parquetMetadataAsync(file) };
  } catch {
    throw new FileFault('The file is not Parquet: its footer cannot be read.');
  }
}

async function read(file: AsyncBuffer, metadata: FileMetaData, rowStart: number, rowEnd: number) {
  try {
    return await parquetReadObjects({ file, metadata, rowStart, rowEnd });
  } catch (error) {
    const codec = /unsupported compression codec: (\w+)/i.exec((error as Error).message)?.[1];
    throw new FileFault(
      codec
        ? `The Parquet file is packed with ${codec}; write it with Snappy or without compression.`
        : `The Parquet file cannot be read from row ${rowStart + 1} on.`
    );
  }
}

/** JSON has no 64-bit integers and no dates. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
