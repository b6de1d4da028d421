/** A row of a file as a value, or why it is none; `line` counts from 1, lines of text or rows of a table. */
export type ReadRow = { line: number; value: unknown } | { line: number; code: string; detail: string };

/** A file that cannot be read on; the rows before it stay. `message` is shown to the person who sent it. */
export class FileFault extends Error {}

export type Chunks = AsyncIterable<Uint8Array>;

/** No text of ours begins with these bytes, and neither does Parquet: such a file is gzip, whatever its sender said. */
export const isGzip = (beginning: Uint8Array) => beginning[0] === 0x1f && beginning[1] === 0x8b;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** One JSON value from bytes; the fault says why it is none, never what the bytes were. */
export function parseJson(line: number, bytes: Uint8Array): ReadRow {
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return { line, code: 'not_utf8', detail: 'The line is not UTF-8; save the file as UTF-8.' };
  }
  try {
    return { line, value: JSON.parse(text) };
  } catch (error) {
    return {
      line,
      code: 'not_json',
      detail: `The line is not JSON${placeIn(error)}; write each row as one JSON object.`
    };
  }
}

/** The parser's message quotes the text; only its position is passed on. */
function placeIn(error: unknown): string {
  const found = /at position (\d+)/.exec((error as Error).message);
  return found ? ` (at character ${Number(found[1]) + 1})` : '';
}

/** Bytes of a line or element, gathered over chunks; what is past `max` is counted and not kept. */
export class Gatherer {
  private pieces: Uint8Array[] = [];
  private length = 0;
  private readonly max: number;

  constructor(max: number) {
    this.max = max;
  }

  add(piece: Uint8Array): void {
    this.length += piece.byteLength;
    if (this.length <= this.max) this.pieces.push(piece);
    else this.pieces = [];
  }

  get empty(): boolean {
    return this.length === 0;
  }

  /** The bytes, or null where they were too many; starts anew. */
  take(): Uint8Array | null {
    const bytes =
      this.length > this.max ? null : this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces);
    this.pieces = [];
    this.length = 0;
    return bytes;
  }
}

export function tooLong(line: number, max: number): ReadRow {
  return { line, code: 'too_long', detail: `The row is longer than ${max} bytes; shorten or split it.` };
}
