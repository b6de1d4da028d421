import { expect, test } from 'vitest';
import { bootstrapInterval, resampling } from './bootstrap.ts';
import { kendallW, meanTauB, tauB } from './rankings.ts';
import { valueOf } from './ratings.ts';

test('tau-b as SciPy documents it, and its ends', () => {
  expect(valueOf(tauB([12, 2, 1, 12, 2], [1, 4, 7, 1, 0]))).toBeCloseTo(-0.47140452079103173, 12);
  expect(tauB([1, 2, 3], [1, 2, 3])).toEqual({ value: 1 });
  expect(tauB([1, 2, 3], [3, 2, 1])).toEqual({ value: -1 });
});

test('tau-b counts what both ranked; it is undefined where one of them tied everything or nothing is shared', () => {
  expect(tauB([1, 2, null, 3], [1, 2, 3, null])).toEqual({ value: 1 });
  expect(tauB([1, 1, 1], [1, 2, 3])).toEqual({ undefined: 'no_variation' });
  expect(tauB([1, null], [null, 1])).toEqual({ undefined: 'no_overlap' });
});

test('the mean of every two raters leaves out the two that cannot be compared', () => {
  const [up, down, tied] = [
    [1, 2, 3],
    [3, 2, 1],
    [1, 1, 1]
  ];
  expect(meanTauB([up, up, down])).toEqual({ value: -1 / 3 });
  expect(meanTauB([up, up, tied])).toEqual({ value: 1 });
  expect(meanTauB([up, tied])).toEqual({ undefined: 'no_variation' });
  expect(meanTauB([up])).toEqual({ undefined: 'no_overlap' });
});

test('W without ties: three executives on six applicants (Siegel 1956, table 9.4)', () => {
  const executives = [
    [1, 6, 3, 2, 5, 4],
    [1, 5, 6, 4, 2, 3],
    [6, 3, 2, 5, 4, 1]
  ];
  expect(valueOf(kendallW(executives))).toBeCloseTo(0.16, 2);
});

test('W with ties: three raters on ten objects (Kendall 1948; Siegel 1956), from mid-ranks or from tiers', () => {
  const mid = [
    [1, 4.5, 2, 4.5, 3, 7.5, 6, 9, 7.5, 10],
    [2.5, 1, 2.5, 4.5, 4.5, 8, 9, 6.5, 10, 6.5],
    [2, 1, 4.5, 4.5, 4.5, 4.5, 8, 8, 8, 10]
  ];
  const tiers = mid.map((ranks) => {
    const steps = [...new Set(ranks)].sort((a, b) => a - b);
    return ranks.map((rank) => steps.indexOf(rank) + 1);
  });
  expect(valueOf(kendallW(mid))).toBeCloseTo(0.828, 3);
  expect(kendallW(tiers)).toEqual(kendallW(mid));
});

test('W is 1 where all agree, 0 where two contradict each other, and undefined where there is nothing to compare', () => {
  expect(
    kendallW([
      [1, 2, 2],
      [1, 2, 2],
      [1, 2, 2]
    ])
  ).toEqual({ value: 1 });
  expect(
    kendallW([
      [1, 2, 3],
      [3, 2, 1]
    ])
  ).toEqual({ value: 0 });
  expect(
    kendallW([
      [1, 2, null, 9],
      [1, 2, 3, 9]
    ])
  ).toEqual({ value: 1 });
  expect(
    kendallW([
      [1, 1],
      [1, 1]
    ])
  ).toEqual({ undefined: 'no_variation' });
  expect(kendallW([[1, 2]])).toEqual({ undefined: 'no_overlap' });
  expect(kendallW([])).toEqual({ undefined: 'no_overlap' });
});

test('W of two raters without ties is their Spearman correlation: (r + 1) / 2', () => {
  const [x, y] = [
    [1, 2, 3, 4, 5],
    [2, 1, 4, 3, 5]
  ];
  const squares = x.reduce((sum, rank, at) => sum + (rank - y[at]!) ** 2, 0);
  const spearman = 1 - (6 * squares) / (5 * 24);
  expect(valueOf(kendallW([x, y]))).toBeCloseTo((spearman + 1) / 2, 12);
});

const mean = (units: readonly number[]) => ({
  value: units.reduce((sum, unit) => sum + unit, 0) / units.length
});

test('the interval of a mean is that of theory, the same for the same seed, wider for more confidence', () => {
  const units = Array.from({ length: 400 }, (_, at) => at % 2);
  const [low, high] = bootstrapInterval(units, mean)!;
  expect(low).toBeCloseTo(0.5 - 1.96 * 0.025, 2);
  expect(high).toBeCloseTo(0.5 + 1.96 * 0.025, 2);
  expect(bootstrapInterval(units, mean)).toEqual([low, high]);
  const wider = bootstrapInterval(units, mean, { ...resampling, confidence: 0.99 })!;
  expect(wider[0]).toBeLessThan(low);
  expect(wider[1]).toBeGreaterThan(high);
});

test('there is no interval from one unit, nor where too many replicates have no value', () => {
  expect(bootstrapInterval([1], mean)).toBeNull();
  const varied = (units: readonly number[]) =>
    new Set(units).size > 1 ? mean(units) : ({ undefined: 'no_variation' } as const);
  expect(bootstrapInterval([1, 2], varied)).toBeNull();
  expect(bootstrapInterval([1, 2, 3, 4, 5, 6], varied)).not.toBeNull();
});
