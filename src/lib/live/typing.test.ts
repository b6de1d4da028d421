import { expect, test } from 'vitest';
import { change, moved } from './typing.ts';

test.each([
  ['', 'abc', { at: 0, removed: 0, added: 'abc' }],
  ['abc', '', { at: 0, removed: 3, added: '' }],
  ['abc', 'abxc', { at: 2, removed: 0, added: 'x' }],
  ['aaa', 'aaaa', { at: 3, removed: 0, added: 'a' }],
  ['one two', 'one more two', { at: 4, removed: 0, added: 'more ' }],
  ['same', 'same', { at: 4, removed: 0, added: '' }]
])('from %j to %j only what differs is replaced', (before, after, expected) => {
  const found = change(before, after);
  expect(found).toEqual(expected);
  expect(before.slice(0, found.at) + found.added + before.slice(found.at + found.removed)).toBe(after);
});

test("a caret stays with its letter while another person's typing moves it", () => {
  expect(moved(2, 5, 0, 3)).toBe(2);
  expect(moved(5, 5, 0, 3)).toBe(5);
  expect(moved(9, 5, 0, 3)).toBe(12);
  expect(moved(9, 5, 2, 0)).toBe(7);
  expect(moved(6, 5, 4, 1)).toBe(6);
});
