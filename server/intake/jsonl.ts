import { limits } from '../limits.ts';
import { Gatherer, parseJson, tooLong, type Chunks, type ReadRow } from './reading.ts';

const NEWLINE = 0x0a;

/** JSON lines, some rows at a time; blank lines are no rows. */
export async function* readJsonl(chunks: Chunks): AsyncGenerator<ReadRow[]> {
  const gatherer = new Gatherer(limits.intake.line_bytes_max);
  let line = 1;
  for await (const chunk of chunks) {
    const rows: ReadRow[] = [];
    let from = 0;
    for (let to = chunk.indexOf(NEWLINE); to >= 0; to = chunk.indexOf(NEWLINE, from)) {
      gatherer.add(chunk.subarray(from, to));
      const row = rowOf(line, gatherer.take());
      if (row) rows.push(row);
      line++;
      from = to + 1;
    }
    if (from < chunk.byteLength) gatherer.add(chunk.slice(from));
    if (rows.length) yield rows;
  }
  const row = gatherer.empty ? null : rowOf(line, gatherer.take());
  if (row) yield [row];
}

function rowOf(line: number, bytes: Uint8Array | null): ReadRow | null {
  if (!bytes) return tooLong(line, limits.intake.line_bytes_max);
  const trimmed = line === 1 ? withoutMark(bytes) : bytes;
  if (trimmed.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d)) return null;
  return parseJson(line, trimmed);
}

/** Windows programs put a byte order mark in front. */
function withoutMark(bytes: Uint8Array): Uint8Array {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}
