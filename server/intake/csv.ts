import { Readable } from 'node:stream';
import { parse, type CsvError } from 'csv-parse';
import { limits } from '../limits.ts';
import { FileFault, type Chunks, type ReadRow } from './reading.ts';

const ROWS_AT_ONCE = 256;

/** CSV (RFC 4180) whose first row names the columns; `line` is the last line of the record, as editors count. */
export async function* readCsv(chunks: Chunks): AsyncGenerator<ReadRow[]> {
  // Cells are counted here: the parser's own skipping tells of bad records before good ones that stand above them,
  // and an import that goes on after a kill needs the same order each time.
  const parser = parse({
    bom: true,
    info: true,
    skip_empty_lines: true,
    relax_column_count: true,
    max_record_size: limits.intake.line_bytes_max
  });
  const source = Readable.from(chunks);
  source.on('error', (error) => parser.destroy(error));
  source.pipe(parser);
  let names: string[] | null = null;
  let rows: ReadRow[] = [];
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: string[];
      info: { lines: number };
    }>) {
      if (!names) {
        names = checkNames(record);
        continue;
      }
      rows.push(rowOf(info.lines, names, record));
      if (rows.length < ROWS_AT_ONCE) continue;
      yield rows;
      rows = [];
    }
  } catch (error) {
    if (error instanceof FileFault) throw error;
    throw new FileFault(`The CSV breaks off: ${sentenceOf(error as CsvError)}`);
  } finally {
    source.destroy();
  }
  if (rows.length) yield rows;
}

function rowOf(line: number, names: string[], record: string[]): ReadRow {
  if (record.length !== names.length)
    return {
      ...{ line, code: 'bad_csv' },
      detail: `The row has ${record.length} cells; the first row names ${names.length} columns.`
    };
  // csv-parse puts U+FFFD where bytes were not UTF-8.
  if (record.some((text) => text.includes('\ufffd')))
    return { line, code: 'not_utf8', detail: 'The row is not UTF-8; save the file as UTF-8.' };
  return { line, value: Object.fromEntries(names.map((name, i) => [name, record[i]])) };
}

function checkNames(names: string[]): string[] {
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined)
    throw new FileFault(`Two columns of the CSV have the name "${twice.slice(0, 80)}".`);
  return names;
}

/** csv-parse quotes the text in some messages; its codes do not. */
function sentenceOf(error: CsvError): string {
  const said: Record<string, string> = {
    CSV_QUOTE_NOT_CLOSED: 'A quote is opened and never closed.',
    CSV_MAX_RECORD_SIZE: `A row is longer than ${limits.intake.line_bytes_max} bytes; shorten or split it.`,
    INVALID_OPENING_QUOTE: 'A quote stands inside a cell that does not begin with one.',
    CSV_INVALID_CLOSING_QUOTE: 'Something follows the quote that closes a cell.'
  };
  return said[error.code] ?? `A row is not CSV (${error.code ?? 'unknown'}).`;
}
