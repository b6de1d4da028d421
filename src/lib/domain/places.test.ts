import { expect, test } from 'vitest';
import { numberAtGap, placeOf, rowsOf } from './places.ts';
import { tiersFromRanks } from './tiers.ts';

const outputs = ['a', 'b', 'c', 'd'];
const shown = (ranks: Record<string, number>) => rowsOf(ranks, outputs).map((row) => row.outputs.join(''));

test('places can be typed in any order, and an empty row stays until it is taken', () => {
  expect(shown({})).toEqual(['', '', '', '']);
  expect(shown({ a: 2 })).toEqual(['', 'a', '', '']);
  expect(shown({ a: 2, b: 1, c: 2, d: 4 })).toEqual(['b', 'ac', '', 'd']);
});

test('a card between two others closes the rows up, and there is still a row for each output', () => {
  const rows = rowsOf({ a: 1, b: 1.5, c: 2 }, outputs);
  expect(rows.map((row) => row.outputs.join(''))).toEqual(['a', 'b', 'c', '']);
  expect(rows[3]!.number).toBeGreaterThan(2);
  expect(rowsOf({ a: -0.5, b: 7.25 }, outputs).map((row) => row.number)).toEqual([-0.5, 7.25, 8, 9]);
});

test('what is no rank of this task is not shown', () => {
  expect(shown({ a: NaN, b: Infinity, stranger: 1, c: 1 })).toEqual(['c', '', '', '']);
});

test('a drop between two cards lands in the middle half of their gap, never on a number that is taken', () => {
  const rows = rowsOf({ a: 1, b: 2, c: 3, d: 4 }, outputs);
  expect([0, 1].map((end) => numberAtGap(rows, 1, () => end))).toEqual([1.25, 1.75]);
  expect(numberAtGap(rows, 0, () => 0.5)).toBe(0.5);
  expect(numberAtGap(rows, 4, () => 0.5)).toBe(4.5);
});

test('beside an empty row there is no gap: the row itself takes the card', () => {
  const rows = rowsOf({ a: 1, b: 3 }, outputs);
  expect([0, 1, 2, 3, 4].map((gap) => numberAtGap(rows, gap, () => 0.5))).toEqual([
    ...[0.5, null, null, null],
    null
  ]);
  expect(numberAtGap([], 0)).toBeNull();
});

test('every drop leaves the cards in the order that the rows then show', () => {
  let ranks: Record<string, number> = { a: 1, b: 2, c: 3, d: 4 };
  let seed = 7;
  const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  for (let turn = 0; turn < 200; turn++) {
    const output = outputs[Math.floor(random() * 4)]!;
    const rows = rowsOf(ranks, outputs);
    const gap = Math.floor(random() * 5);
    const number = numberAtGap(rows, gap, random) ?? rows[Math.min(gap, 3)]!.number;
    ranks = { ...ranks, [output]: number };
    const filled = rowsOf(ranks, outputs).filter((row) => row.outputs.length);
    expect(filled.map((row) => row.outputs)).toEqual(tiersFromRanks(ranks));
  }
});

test('the place of an output is the key of its row', () => {
  const rows = rowsOf({ a: 2, b: 1 }, outputs);
  expect(outputs.map((output) => placeOf(rows, output))).toEqual([2, 1, null, null]);
});
