import { limits } from '../limits.ts';
import { FileFault, Gatherer, parseJson, tooLong, type Chunks, type ReadRow } from './reading.ts';

const [OPEN_LIST, CLOSE_LIST, OPEN, CLOSE, QUOTE, ESCAPE, COMMA, NEWLINE] = Buffer.from('[]{}"\\,\n');
const isSpace = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/**
 * The elements of one JSON array without holding the file: a scanner finds where each element of the outermost list
 * ends, and only that much is parsed. `line` is where the element begins. A file that is no list is a single row.
 */
export async function* readJsonArray(chunks: Chunks): AsyncGenerator<ReadRow[]> {
  const scanner = new Scanner();
  for await (const chunk of chunks) {
    const rows = scanner.scan(chunk);
    if (rows.length) yield rows;
  }
  const rest = scanner.end();
  if (rest.length) yield rest;
}

class Scanner {
  private readonly gatherer = new Gatherer(limits.intake.line_bytes_max);
  private readonly rows: ReadRow[] = [];
  /** 0 before the list, 1 directly in it; a file that is no list stays at 0 and is one element. */
  private state: 'before' | 'list' | 'lone' | 'after' = 'before';
  private depth = 0;
  private quoted = false;
  private escaped = false;
  private line = 1;
  private startedAt = 0;
  private first = true;

  scan(chunk: Uint8Array): ReadRow[] {
    const bytes = this.first && chunk[0] === 0xef ? chunk.subarray(3) : chunk;
    this.first = false;
    let from = 0;
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i]!;
      if (byte === NEWLINE) this.line++;
      if (this.state === 'list' || this.state === 'lone') {
        const ended = this.inside(byte);
        if (ended) {
          this.gatherer.add(bytes.slice(from, i));
          this.finish();
          from = i + 1;
          if (byte === CLOSE_LIST) this.state = 'after';
        }
      } else if (!isSpace(byte)) {
        this.outside(byte);
        from = byte === OPEN_LIST ? i + 1 : i;
      }
    }
    if (this.state === 'list' || this.state === 'lone') this.gatherer.add(bytes.slice(from));
    return this.rows.splice(0);
  }

  /** True where this byte ends an element of the list: a comma or the closing bracket. */
  private inside(byte: number): boolean {
    if (this.quoted) {
      if (this.escaped) this.escaped = false;
      else if (byte === ESCAPE) this.escaped = true;
      else if (byte === QUOTE) this.quoted = false;
      return false;
    }
    if (!this.startedAt && !isSpace(byte)) this.startedAt = this.line;
    if (this.state === 'list' && this.depth === 0 && (byte === COMMA || byte === CLOSE_LIST)) return true;
    if (byte === QUOTE) this.quoted = true;
    else if (byte === OPEN || byte === OPEN_LIST) this.depth++;
    else if (byte === CLOSE || byte === CLOSE_LIST) this.depth--;
    return false;
  }

  private outside(byte: number): void {
    if (this.state === 'after')
      throw new FileFault(
        `Line ${this.line}: something follows the end of the list; send JSON lines or one list.`
      );
    if (byte === OPEN_LIST) {
      this.state = 'list';
      return;
    }
    this.state = 'lone';
    this.inside(byte);
  }

  private finish(): void {
    const line = this.startedAt || this.line;
    const bytes = this.gatherer.take();
    this.startedAt = 0;
    if (!bytes) this.rows.push(tooLong(line, limits.intake.line_bytes_max));
    else if (!bytes.every(isSpace)) this.rows.push(parseJson(line, bytes));
  }

  end(): ReadRow[] {
    if (this.state === 'list')
      throw new FileFault(
        `The list is not closed (the file ends at line ${this.line}); the end may be missing.`
      );
    if (this.state === 'lone') this.finish();
    return this.rows.splice(0);
  }
}
