import { Readable } from 'node:stream';
import { parse, type CsvError } from 'csv-parse';
import { limits } from '../limits.ts';
import { FileFault, type Chunks, type ReadRow } from './reading.ts';

const ROWS_AT_ONCE = 256;

/** CSV (RFC 4180) whose first row names the columns; `line` is the last line of the record, as editors count. */
export async function* readCsv(chunks: Chunks): AsyncGenerator<ReadRow[]> {
  let rows: ReadRow[] = [];
  const parser = parse({
    bom: true,
    columns: (names: string[]) => checkNames(names),
    info: true,
    skip_empty_lines: true,
    skip_records_with_error: true,
    max_record_size: limits.intake.line_bytes_max,
    on_skip: (error) => void rows.push(faultOf(error))
  });
  const source = Readable.from(chunks);
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  try {
    for await (const { record, info } of parser) {
      rows.push(rowOf(info.lines, record));
      if (rows.length >= ROWS_AT_ONCE) {
        yield rows;
        rows = [];
      }
    }
  } catch (error) {
    throw error instanceof FileFault
      ? error
      : new FileFault(`The CSV breaks off: ${sentenceOf(error as CsvError)}`);
  } finally {
    source.destroy();
  }
  if (rows.length) yield rows;
}

function rowOf(line: number, record: Record<string, string>): ReadRow {
  for (const text of Object.values(record))
    // csv-parse puts U+FFFD where bytes were not UTF-8.
    if (text.includes('\ufffd'))
      return { line, code: 'not_utf8', detail: 'The row is not UTF-8; save the file as UTF-8.' };
  return { line, value: record };
}

function checkNames(names: string[]): string[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new FileFault(`Two columns of the CSV have the name "${twice.slice(0, 80)}".`);
  return names;
}

function faultOf(error: CsvError | undefined): ReadRow {
  const line = Number((error as { lines?: number } | undefined)?.lines ?? 0);
  return { line, code: 'bad_csv', detail: error ? sentenceOf(error) : 'The row is not CSV.' };
}

/** csv-parse quotes the text in some messages; its codes do not. */
function sentenceOf(error: CsvError): string {
  const said: Record<string, string> = {
    CSV_RECORD_INCONSISTENT_COLUMNS: 'The row has more or fewer cells than the first row has names.',
    CSV_RECORD_INCONSISTENT_FIELDS_LENGTH: 'The row has more or fewer cells than the first row has names.',
    CSV_QUOTE_NOT_CLOSED: 'A quote is opened and never closed.',
    CSV_MAX_RECORD_SIZE: `The row is longer than ${limits.intake.line_bytes_max} bytes; shorten or split it.`,
    INVALID_OPENING_QUOTE: 'A quote stands inside a cell that does not begin with one.',
    CSV_INVALID_CLOSING_QUOTE: 'Something follows the quote that closes a cell.'
  };
  return said[error.code] ?? `The row is not CSV (${error.code ?? 'unknown'}).`;
}
