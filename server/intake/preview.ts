import { gunzipSync, constants } from 'node:zlib';
import { detectShape } from '#domain/shapes.ts';
import type { ImportPreview } from '#wire/import.ts';
import { limits } from '../limits.ts';
import { Fault } from '../net/fault.ts';
import { readRows, type ContentType } from './open.ts';
import { FileFault, isGzip, type Chunks, type ReadRow } from './reading.ts';

const ROWS = 5;

/** The first rows of a file's beginning; a row that the cut tears is left out. */
export async function preview(body: Chunks, type: ContentType, gzip: boolean): Promise<ImportPreview> {
  if (type === 'application/vnd.apache.parquet')
    throw new Fault(
      422,
      'no_preview',
      'A Parquet file has its table of contents at the end; import it whole.'
    );
  const bytes = await beginning(body, gzip);
  const rows = await firstRows(bytes, type);
  const values = rows.flatMap((row) => ('value' in row && isObject(row.value) ? [row.value] : []));
  const columns = [...new Set(values.flatMap(Object.keys))];
  return {
    columns,
    rows: values,
    shape: values[0] ? detectShape(Object.keys(values[0])) : null,
    errors: rows.flatMap((row) => ('code' in row ? [row] : []))
  };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);

async function beginning(body: Chunks, gzip: boolean): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of body) {
    pieces.push(chunk);
    length += chunk.byteLength;
    if (length >= limits.intake.preview_bytes_max) break;
  }
  const bytes = Buffer.concat(pieces).subarray(0, limits.intake.preview_bytes_max);
  if (!gzip && !isGzip(bytes)) return bytes;
  try {
    return gunzipSync(bytes, {
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: limits.intake.preview_bytes_max * limits.intake.gzip_ratio_max
    });
  } catch {
    throw new Fault(422, 'bad_gzip', 'The body is not gzip.');
  }
}

async function firstRows(bytes: Uint8Array, type: ContentType): Promise<ReadRow[]> {
  const rows: ReadRow[] = [];
  try {
    for await (const some of readRows(oneChunk(bytes), type)) {
      rows.push(...some);
      if (rows.length > ROWS) break;
    }
  } catch (error) {
    // The cut made the end of the file invalid; what came before it is what is asked for.
    if (!(error instanceof FileFault)) throw error;
  }
  const torn = bytes.byteLength >= limits.intake.preview_bytes_max && rows.length <= ROWS;
  return rows.slice(0, torn ? Math.max(0, rows.length - 1) : ROWS).slice(0, ROWS);
}

async function* oneChunk(bytes: Uint8Array): Chunks {
  yield bytes;
}
