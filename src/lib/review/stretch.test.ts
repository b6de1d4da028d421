import { expect, test } from 'vitest';
import { cut, sentencesOf } from './stretch.ts';

test('sentences are stretches of the text, without the spaces between them', () => {
  const text = 'No effusion.  Heart 🫀 normal?\n\nسليم.';
  expect(sentencesOf(text).map(({ start, end }) => text.slice(start, end))).toEqual([
    'No effusion.',
    'Heart 🫀 normal?',
    'سليم.'
  ]);
  expect(sentencesOf('')).toEqual([]);
});

test('a text is cut where remarks begin and end, also where they overlap; the pieces are the text', () => {
  const text = 'abcdefgh';
  const stretches = [
    { start: 1, end: 5 },
    { start: 3, end: 8 },
    { start: 6, end: 90 }
  ];
  const pieces = cut(text, stretches);
  expect(pieces).toEqual([
    { text: 'a', marks: [] },
    { text: 'bc', marks: [0] },
    { text: 'de', marks: [0, 1] },
    { text: 'fgh', marks: [1] }
  ]);
  expect(pieces.map((piece) => piece.text).join('')).toBe(text);
  expect(cut('', [])).toEqual([]);
});
