import { expect, test } from 'vitest';
import { firsts, meanTiers, splitsOf } from './splits.ts';

const outputs = ['a', 'b', 'c', 'd'];

test('raters are divided over the pairs that they order against each other, and over no others', () => {
  const rankings = [
    [['a'], ['b'], ['c']],
    [['b'], ['a'], ['c']],
    [['b'], ['a', 'c']]
  ];
  expect(splitsOf(rankings, outputs)).toEqual([{ a: 'a', b: 'b', above: 1, below: 2, level: 0 }]);
});

test('the most even division comes first; ties and what is not placed contradict nobody', () => {
  const rankings = [
    [['a'], ['b'], ['c']],
    [['c'], ['b'], ['a']],
    [['c'], ['a']],
    [['a'], ['c', 'b']]
  ];
  expect(splitsOf(rankings, outputs)).toEqual([
    { a: 'a', b: 'c', above: 2, below: 2, level: 0 },
    { a: 'a', b: 'b', above: 2, below: 1, level: 0 },
    { a: 'b', b: 'c', above: 1, below: 1, level: 1 }
  ]);
  expect(splitsOf([[['a', 'b']], [['a'], ['b']]], outputs)).toEqual([]);
});

test('first places are counted for each who shares one', () => {
  expect(firsts([[['b']], [['a', 'b']], []])).toEqual([
    { output: 'b', count: 2 },
    { output: 'a', count: 1 }
  ]);
});

test('a consensus starts from mean mid-ranks: equal means tie, and what nobody placed stays out', () => {
  expect(
    meanTiers(
      [
        [['a'], ['b']],
        [['b'], ['a']]
      ],
      outputs
    )
  ).toEqual([['a', 'b']]);
  expect(
    meanTiers(
      [
        [['c'], ['a', 'b']],
        [['c'], ['b'], ['a']]
      ],
      outputs
    )
  ).toEqual([['c'], ['b'], ['a']]);
  expect(meanTiers([], outputs)).toEqual([]);
  // Left out by one: behind what that one placed.
  expect(meanTiers([[['a']], [['a'], ['b'], ['c']]], outputs)).toEqual([['a'], ['b'], ['c']]);
});
