import { expect, test } from 'vitest';
import { difference, fitStrengths, preferenceUncertainty, type Comparison } from './bradley-terry.ts';

/** As good as none. */
const FLAT = 1e6;

test('baseball 1987, seven teams: the estimates of Agresti 2002, table 10.11, and standard errors of about 0.3', () => {
  const teams = ['Milwaukee', 'Detroit', 'Toronto', 'New York', 'Boston', 'Cleveland', 'Baltimore'];
  const wins = [
    [0, 7, 9, 7, 7, 9, 11],
    [6, 0, 7, 5, 11, 9, 9],
    [4, 6, 0, 7, 7, 8, 12],
    [6, 8, 6, 0, 6, 7, 10],
    [6, 2, 6, 7, 0, 7, 12],
    [4, 4, 5, 6, 6, 0, 6],
    [2, 4, 1, 3, 1, 7, 0]
  ];
  const comparisons: Comparison[] = wins.flatMap((row, i) =>
    row.map((times, j) => ({ winner: teams[i]!, loser: teams[j]!, times }))
  );
  const fit = fitStrengths(
    comparisons.filter(({ winner, loser }) => winner !== loser),
    FLAT
  );
  const over = teams.map((team) => difference(fit, team, 'Baltimore'));
  expect(over.slice(0, 6).map(({ mean }) => mean.toFixed(2))).toEqual([
    ...['1.58', '1.44', '1.29', '1.25', '1.11', '0.68']
  ]);
  expect(over.slice(0, 6).map(({ error }) => error.toFixed(1))).toEqual(Array(6).fill('0.3'));
});

test('two alone: the log odds of the wins, and the error of a proportion', () => {
  const fit = fitStrengths(
    [
      { winner: 'a', loser: 'b', times: 30 },
      { winner: 'b', loser: 'a', times: 10 }
    ],
    FLAT
  );
  const { mean, error } = difference(fit, 'a', 'b');
  expect(mean).toBeCloseTo(Math.log(3), 4);
  expect(error).toBeCloseTo(Math.sqrt(1 / 30 + 1 / 10), 4);
  // 1 / (1 + exp(-(1.0986 ± 1.96 · 0.3651))) = 0.5946 to 0.8600.
  expect(preferenceUncertainty(fit, 'a', 'b')).toBeCloseTo(0.8599 - 0.5946, 3);
});

test('only wins, two who never met, one never seen and nobody at all have finite strengths', () => {
  const fit = fitStrengths([
    { winner: 'a', loser: 'b', times: 1_000 },
    { winner: 'c', loser: 'd', times: 1 }
  ]);
  expect(fit.strengths.every(Number.isFinite)).toBe(true);
  expect(difference(fit, 'a', 'b').mean).toBeGreaterThan(2);
  expect(preferenceUncertainty(fit, 'a', 'b')).toBeLessThan(preferenceUncertainty(fit, 'c', 'd'));
  expect(preferenceUncertainty(fit, 'c', 'd')).toBeLessThan(preferenceUncertainty(fit, 'x', 'y'));
  expect(preferenceUncertainty(fitStrengths([]), 'x', 'y')).toBeCloseTo(0.882, 3);
});

test('each more comparison leaves less uncertain', () => {
  const widths = [1, 10, 100, 1_000].map((times) =>
    preferenceUncertainty(
      fitStrengths([
        { winner: 'a', loser: 'b', times },
        { winner: 'b', loser: 'a', times }
      ]),
      'a',
      'b'
    )
  );
  expect(widths).toEqual(widths.toSorted((x, y) => y - x));
  expect(widths.at(-1)).toBeLessThan(0.05);
});
