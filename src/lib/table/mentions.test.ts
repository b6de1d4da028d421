import { expect, test } from 'vitest';
import { asked, complete, cut, matching, mentionedIn } from './mentions.ts';

const people = [
  { id: '1', name: 'Ada Osei' },
  { id: '2', name: 'Ada' },
  { id: '3', name: 'Bo Lindqvist' }
];

test.each([
  ['@', { from: 0, query: '' }],
  ['see @Ad', { from: 4, query: 'Ad' }],
  ['(@bo', { from: 1, query: 'bo' }],
  ['@Ada Os', { from: 0, query: 'Ada Os' }],
  ['mail ada@example.org', null],
  ['@Ada Osei says', null],
  ['nothing', null]
])('at the end of %j the mention being typed is %j', (text, expected) => {
  expect(asked(text, text.length)).toEqual(expected);
});

test('people are found by the beginning of any word of their name', () => {
  expect(matching(people, 'ad').map(({ id }) => id)).toEqual(['1', '2']);
  expect(matching(people, 'lind').map(({ id }) => id)).toEqual(['3']);
  expect(matching(people, 'Ada Os').map(({ id }) => id)).toEqual(['1']);
  expect(matching(people, 'x')).toEqual([]);
});

test('a mention is made whole where it stands', () => {
  expect(complete('see @bo please', 4, 7, people[2]!)).toEqual({
    text: 'see @Bo Lindqvist please',
    caret: 18
  });
  expect(complete('@', 0, 1, people[1]!)).toEqual({ text: '@Ada ', caret: 5 });
});

test('a text is cut at its mentions; the longer name wins, and what nobody is called stays text', () => {
  expect(cut('@Ada Osei and @Ada, not @Eve', people)).toEqual([
    { text: '@Ada Osei', person: people[0] },
    { text: ' and ', person: null },
    { text: '@Ada', person: people[1] },
    { text: ', not @Eve', person: null }
  ]);
  expect(mentionedIn('@Ada @Bo Lindqvist @Ada', people)).toEqual(['2', '3']);
  expect(cut('', people)).toEqual([]);
});
