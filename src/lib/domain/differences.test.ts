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
  const [left] = differences('x '.repeat(2_001), 'y');
  expect(left).toEqual([{ text: 'x '.repeat(2_001), differs: false }]);
});
