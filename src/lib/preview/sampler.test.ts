import { expect, test } from 'vitest';
import { randomFrom } from '../domain/random.ts';
import { pick, type Sampling } from './sampler.ts';

const plain: Sampling = { temperature: 1, top_p: 1, top_k: 0, seed: 1 };
const log = (...shares: number[]) => Float32Array.from(shares, Math.log);

/** How often each id comes up over evenly spread numbers. */
function shares(logits: Float32Array, sampling: Sampling, draws = 10_000): number[] {
  const counts = new Array<number>(logits.length).fill(0);
  for (let i = 0; i < draws; i++) counts[pick(logits, sampling, (i + 0.5) / draws)]!++;
  return counts.map((count) => Math.round((count / draws) * 1000) / 1000);
}

test('greedy takes the largest, of equals the first', () => {
  expect(pick(Float32Array.of(1, 3, 3, 2), { ...plain, temperature: 0 }, 0.9)).toBe(1);
});

test('draws each token as often as its probability', () => {
  expect(shares(log(0.5, 0.2, 0.3), plain)).toEqual([0.5, 0.2, 0.3]);
});

test('temperature sharpens: 1/2 squares the odds', () => {
  const [a, b] = shares(log(0.75, 0.25), { ...plain, temperature: 0.5 });
  expect(a! / b!).toBeCloseTo(9, 0);
});

test('top-k keeps the k best', () => {
  expect(shares(log(0.1, 0.6, 0.3), { ...plain, top_k: 2 })).toEqual([0, 0.667, 0.333]);
  expect(shares(log(0.1, 0.6, 0.3), { ...plain, top_k: 9 })).toEqual([0.1, 0.6, 0.3]);
});

test('top-p keeps the smallest set that reaches it, at least the best', () => {
  expect(shares(log(0.1, 0.6, 0.3), { ...plain, top_p: 0.7 })).toEqual([0, 0.667, 0.333]);
  expect(shares(log(0.1, 0.6, 0.3), { ...plain, top_p: 0.01 })).toEqual([0, 1, 0]);
});

test('top-p counts on what top-k left', () => {
  expect(shares(log(0.4, 0.3, 0.3), { ...plain, top_k: 2, top_p: 0.5 })).toEqual([1, 0, 0]);
});

test('a seed gives one sequence, spread evenly over [0, 1)', () => {
  const [a, b, other] = [randomFrom(7), randomFrom(7), randomFrom(8)];
  const values = Array.from({ length: 10_000 }, a);
  expect(values).toEqual(Array.from({ length: 10_000 }, b));
  expect(values[0]).not.toBe(other());
  expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...values)).toBeLessThan(1);
  expect(values.reduce((x, y) => x + y) / values.length).toBeCloseTo(0.5, 1);
});
