import { expect, test } from 'vitest';
import { alpha, type Level } from './alpha.ts';
import { bootstrapInterval } from './bootstrap.ts';
import { jsonOf, present, textOf } from '../../text/testing-data.ts';
import { valueOf, type Rating, type Ratings } from './ratings.ts';

const unitsOf = (byRater: (Rating | null)[][]): Ratings =>
  byRater[0]!.map((_, unit) => byRater.map((row) => row[unit]!));

test('two raters on a yes/no scale: the worked example of Krippendorff 2011, section A', () => {
  const [a, b] = [
    [0, 1, 0, 0, 0, 0, 0, 0, 1, 0],
    [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
  ];
  expect(valueOf(alpha(unitsOf([a, b]), 'nominal'))).toBeCloseTo(0.095, 3);
});

test('opposite answers are worse than chance, and a far miss costs more than a near one where there are distances', () => {
  expect(
    valueOf(
      alpha(
        [
          ['a', 'b'],
          ['b', 'a']
        ],
        'nominal'
      )
    )
  ).toBeLessThan(0);
  const rows = (miss: number): Ratings => [
    [1, 1],
    [2, 2],
    [4, 4],
    [1, miss]
  ];
  for (const level of ['ordinal', 'interval'] as Level[])
    expect(valueOf(alpha(rows(2), level))).toBeGreaterThan(valueOf(alpha(rows(4), level))!);
});

test('there is no alpha without a unit of two ratings, or with one value alone; a label has no distance', () => {
  expect(
    alpha(
      [
        [1, null],
        [null, 2]
      ],
      'nominal'
    )
  ).toEqual({ undefined: 'no_overlap' });
  expect(alpha([], 'interval')).toEqual({ undefined: 'no_overlap' });
  expect(
    alpha(
      [
        [1, 1],
        [1, 1]
      ],
      'ordinal'
    )
  ).toEqual({ undefined: 'no_variation' });
  expect(() => alpha([['good', 'bad']], 'ordinal')).toThrow('"good" is no number');
});

interface Case {
  id: string;
  ratings: (Rating | null)[][];
  decimals: number;
  expected: Record<string, number | string>;
  also?: Record<string, number>;
}
const cases: Case[] = present ? jsonOf('agreement-vectors/vectors.json') : [];
const caseOf = (id: string) => cases.find((one) => one.id === id)!;
const tableOf = (file: string) =>
  textOf(`agreement-vectors/${file}`)
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(','));

test.skipIf(!present)('published alphas, with ratings missing, labels and every level', () => {
  const published = cases.filter((one) => one.id.startsWith('krippendorff-'));
  expect(published.length).toBeGreaterThanOrEqual(6);
  let checked = 0;
  for (const { id, ratings, expected, decimals } of published)
    for (const level of ['nominal', 'ordinal', 'interval'] as Level[]) {
      const answer = expected[`alpha_${level}`];
      if (answer !== undefined) {
        const value = valueOf(alpha(unitsOf(ratings), level))!;
        expect(Math.abs(value - Number(answer)), `${id} ${level}`).toBeLessThanOrEqual(
          0.5000001 * 10 ** -decimals
        );
        checked++;
      } else if (expected.error) expect(valueOf(alpha(unitsOf(ratings), level)), id).toBeNull();
    }
  expect(checked).toBe(8);
});

test.skipIf(!present)('real votes: 999 pairs by three annotators, 108 pictures by 39', () => {
  const votes = tableOf('pandalm-votes.csv').map(([, ...given]) => given);
  const value = valueOf(alpha(votes, 'nominal'))!;
  expect(value).toBeCloseTo(caseOf('pandalm-999x3').also!.alpha_nominal!, 12);
  const [low, high] = bootstrapInterval(votes, (units) => alpha(units, 'nominal'))!;
  expect(low).toBeLessThan(value);
  expect(high).toBeGreaterThan(value);
  expect(high - low).toBeLessThan(0.1);

  const pictures = Map.groupBy(tableOf('bluebirds.csv'), ([image]) => image);
  const labels = [...pictures.values()].map((rows) => rows.map((row) => row[2]!));
  expect(valueOf(alpha(labels, 'nominal'))).toBeCloseTo(caseOf('bluebirds-108x39').also!.alpha_nominal!, 12);
});
