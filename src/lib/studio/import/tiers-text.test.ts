import { expect, test } from 'vitest';
import { formatOf } from './file-format.ts';
import { parseTiers, tiersText } from './tiers-text.ts';

test.each([
  ['A > B', 2, [[0], [1]]],
  ['b>a', 2, [[1], [0]]],
  ['C > A = B', 3, [[2], [0, 1]]],
  ['A', 2, [[0]]],
  ['', 2, null],
  ['A > C', 2, null],
  ['A > A', 2, null],
  ['A > ', 2, null],
  ['first', 2, null]
])('%j among %i outputs', (text, outputs, tiers) => {
  expect(parseTiers(text, outputs)).toEqual(tiers);
});

test('what is printed reads back', () => {
  expect(tiersText([[2], [0, 1]])).toBe('C > A = B');
  expect(parseTiers(tiersText([[2], [0, 1]]), 3)).toEqual([[2], [0, 1]]);
});

test.each([
  ['a.jsonl', 'application/jsonl', false],
  ['A.JSON.GZ', 'application/json', true],
  ['x.y.csv.gz', 'text/csv', true],
  ['t.parquet', 'application/vnd.apache.parquet', false]
])('%s', (name, contentType, gzip) => {
  expect(formatOf(name)).toMatchObject({ contentType, gzip });
});

test.each(['a.txt', 'jsonl', 'a.gz', 'a.parquet.gz', ''])('%j is no format', (name) => {
  expect(formatOf(name)).toBeNull();
});
