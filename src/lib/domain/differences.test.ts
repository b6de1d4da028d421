import { expect, test } from 'vitest';
import { differences, type Piece } from './differences.ts';

/** Marked words in brackets. */
const shown = (pieces: Piece[]) =>
  pieces.map(({ text, differs }) => (differs ? `[${text}]` : text)).join('|');

test('marks what the other has not', () => {
  const [a, b] = differences('No acute fracture is seen.', 'No fracture or dislocation is seen.');
  expect(shown(a)).toBe('No |[acute]| fracture is seen.');
  expect(shown(b)).toBe('No fracture |[or dislocation]| is seen.');
});

test('equal and empty texts have no marks', () => {
  for (const text of ['', 'one two\n\nthree ', '  '])
    for (const side of differences(text, text)) expect(side.some(({ differs }) => differs)).toBe(false);
});

test('the pieces together are the text', () => {
  const texts = ['a b  c\nd ', ' x b y d', '', 'c\tc c'];
  for (const a of texts)
    for (const b of texts) {
      const [left, right] = differences(a, b);
      expect(left.map(({ text }) => text).join('')).toBe(a);
      expect(right.map(({ text }) => text).join('')).toBe(b);
    }
});

test('space at the end or between words is no difference', () => {
  expect(shown(differences('a b\n', 'a')[0])).toBe('a |[b]|\n');
  expect(
    differences('a b', 'a\nb')
      .flat()
      .some(({ differs }) => differs)
  ).toBe(false);
});

test('very long texts are left unmarked', () => {
  const [left] = differences('x '.repeat(10_001), 'y');
  expect(left).toEqual([{ text: 'x '.repeat(10_001), differs: false }]);
});

test('what stays unmarked is a longest common subsequence, whatever the lengths', () => {
  const lengthOf = (a: string[], b: string[]) => {
    let row = new Array<number>(b.length + 1).fill(0);
    for (const word of a) {
      const next = [0];
      for (const [j, other] of b.entries())
        next.push(word === other ? row[j]! + 1 : Math.max(next[j]!, row[j + 1]!));
      row = next;
    }
    return row.at(-1)!;
  };
  let seed = 1;
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  const text = (length: number) => Array.from({ length }, () => 'abcdefg'[random(7)]!);
  for (const [m, n] of [
    [0, 5],
    [5, 0],
    [31, 33],
    [32, 32],
    [64, 65],
    [97, 200],
    [300, 1]
  ] as const) {
    const [a, b] = [text(m), text(n)];
    const kept = differences(a.join(' '), b.join(' ')).map((pieces) =>
      pieces.flatMap(({ text, differs }) => (differs ? [] : text.split(/\s+/).filter(Boolean)))
    );
    expect(kept[0]).toEqual(kept[1]);
    expect(kept[0]!.length).toBe(lengthOf(a, b));
  }
});
