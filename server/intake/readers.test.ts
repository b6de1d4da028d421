import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { limits } from '../limits.ts';
import { readFileRows, readRows, type ContentType } from './open.ts';
import { FileFault, type ReadRow } from './reading.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'concord-readers-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function* cut(bytes: Uint8Array, size: number) {
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

/** Every row as `line:value` or `line!code`, read in pieces of `size` bytes. */
async function read(text: string | Uint8Array, type: ContentType, size = 1 << 20): Promise<string[]> {
  const rows: ReadRow[] = [];
  for await (const some of readRows(cut(Buffer.from(text as string), size), type)) rows.push(...some);
  return rows.map((row) =>
    'code' in row ? `${row.line}!${row.code}` : `${row.line}:${JSON.stringify(row.value)}`
  );
}

const sizes = [1, 2, 7, 1 << 20];

test.each(sizes)(
  'JSON lines in pieces of %d bytes: blank lines, Windows ends, no end, a byte order mark',
  async (size) => {
    const text = '\ufeff{"a":"é"}\r\n\n  \r\n{broken\n"x"\n{"a":2}';
    expect(await read(text, 'application/jsonl', size)).toEqual([
      '1:{"a":"é"}',
      '4!not_json',
      '5:"x"',
      '6:{"a":2}'
    ]);
  }
);

test('a line that is not UTF-8 or too long is refused by number, the others stay', async () => {
  const long = `"${'x'.repeat(limits.intake.line_bytes_max)}"`;
  const bytes = Buffer.concat([
    Buffer.from(`{"a":1}\n${long}\n"`),
    Buffer.from([0xff, 0xfe]),
    Buffer.from(`"\n{"a":4}\n`)
  ]);
  const wanted = ['1:{"a":1}', '2!too_long', '3!not_utf8', '4:{"a":4}'];
  expect(await read(bytes, 'application/jsonl', 65_536)).toEqual(wanted);
});

test.each(sizes)(
  'a JSON list in pieces of %d bytes: nested, quoted brackets, bad elements by line',
  async (size) => {
    const text = '[\n {"a":[1,{"b":"],\\"}"}]},\n "x,y" ,\n {bad},\n 4]\n';
    expect(await read(text, 'application/json', size)).toEqual([
      '2:{"a":[1,{"b":"],\\"}"}]}',
      '3:"x,y"',
      '4!not_json',
      '5:4'
    ]);
  }
);

test('a list that is not closed or followed by more is a broken file; one object is one row', async () => {
  await expect(read('[{"a":1},', 'application/json')).rejects.toThrow(/not closed/);
  await expect(read('[1] 2', 'application/json')).rejects.toThrow(/follows the end/);
  expect(await read('{"a":\n1}', 'application/json')).toEqual(['1:{"a":\n1}'.replace('\n', '')]);
  expect(await read('[]', 'application/json')).toEqual([]);
});

test.each([3, 1 << 20])(
  'CSV in pieces of %d bytes: quotes, newlines in cells, a row with too many cells',
  async (size) => {
    const text = 'a,b\r\n1,"x ""y"",\nz"\r\n1,2,3\r\né,\r\n';
    expect(await read(text, 'text/csv', size)).toEqual([
      '3:{"a":"1","b":"x \\"y\\",\\nz"}',
      '4!bad_csv',
      '5:{"a":"é","b":""}'
    ]);
  }
);

test('CSV with one name twice, and bytes that are not UTF-8', async () => {
  await expect(read('a,a\n1,2\n', 'text/csv')).rejects.toThrow(FileFault);
  const bytes = Buffer.concat([Buffer.from('a\n'), Buffer.from([0xe9]), Buffer.from('\nok\n')]);
  expect(await read(bytes, 'text/csv')).toEqual(['2!not_utf8', '3:{"a":"ok"}']);
});

async function readPacked(bytes: Uint8Array, declared = true): Promise<number> {
  const path = join(folder, 'packed');
  await writeFile(path, bytes);
  let rows = 0;
  for await (const some of readFileRows(path, 'application/jsonl', declared)) rows += some.length;
  return rows;
}

test('gzip: whole, torn, and a bomb', async () => {
  const packed = gzipSync('{"a":1}\n'.repeat(1_000));
  expect(await readPacked(packed)).toBe(1_000);
  expect(await readPacked(packed, false)).toBe(1_000);
  await expect(readPacked(packed.subarray(0, packed.length - 20))).rejects.toThrow(/gzip data are broken/);
  await expect(readPacked(Buffer.from('{"a":1}\n'))).rejects.toThrow(/gzip data are broken/);
  const zeros = gzipSync(Buffer.alloc(64 * 1_048_576, 10));
  await expect(readPacked(zeros)).rejects.toThrow(/unpacks to more than 200 times/);
});

test('a file that is no Parquet says so', async () => {
  const path = join(folder, 'no.parquet');
  await writeFile(path, 'not parquet at all');
  await expect(readFileRows(path, 'application/vnd.apache.parquet', false).next()).rejects.toThrow(
    /not Parquet/
  );
});

const golden = (name: string) => new URL(`./golden/${name}`, import.meta.url).pathname;
async function parquet(name: string): Promise<ReadRow[]> {
  const rows: ReadRow[] = [];
  for await (const some of readFileRows(golden(name), 'application/vnd.apache.parquet', false))
    rows.push(...some);
  return rows;
}

test('Parquet: nested messages over several row groups, numbers beyond JSON as text, missing values', async () => {
  const rows = await parquet('conversational-snappy.parquet');
  expect(rows.map(({ line }) => line)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(rows[4]).toEqual({
    line: 5,
    value: {
      prompt: [{ role: 'user', content: 'Frage 5: é ≤ 5 mm?' }],
      chosen: [{ role: 'assistant', content: 'good 5' }],
      rejected: [{ role: 'assistant', content: 'bad 5' }],
      score: '9007199254740997'
    }
  });
  expect(await parquet('flat-plain.parquet')).toEqual([
    { line: 1, value: { prompt: 'a', chosen: 'x', rejected: 'y' } },
    { line: 2, value: { prompt: 'b', chosen: null, rejected: 'z' } }
  ]);
});

test('Parquet packed with what cannot be read is refused with the remedy', async () => {
  await expect(parquet('flat-zstd.parquet')).rejects.toThrow('packed with ZSTD; write it with Snappy');
});
