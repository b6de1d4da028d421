import { expect, test } from 'vitest';
import { implicitReward, marginOf, marginUncertainty } from './margin.ts';

test('the reward is beta times the log-ratio; without a reference, beta times the mean log-probability of a token', () => {
  expect(implicitReward({ policy: -12, reference: -20, tokens: 4 }, 0.1)).toBeCloseTo(0.8, 12);
  expect(implicitReward({ policy: -12, reference: null, tokens: 4 }, 2)).toBe(-6);
});

test('the margin lies between the two best of any number, in any order', () => {
  expect(marginOf([0.2, -3, 0.5, 0.1])).toBeCloseTo(0.3, 12);
  expect(marginOf([1, 1])).toBe(0);
  expect(marginOf([1])).toBeNull();
  expect(marginOf([])).toBeNull();
});

test('without a margin nothing is certain; at log 3 three of four prefer the best, and it falls to none', () => {
  expect(marginUncertainty(0)).toBe(1);
  expect(marginUncertainty(Math.log(3))).toBeCloseTo(0.5, 12);
  expect(marginUncertainty(800)).toBe(0);
});
