import { expect, test } from 'vitest';
import { canonicalJson } from './canonical.ts';
import { placeOf } from './order.ts';
import { splitPrompts } from './split.ts';
import { faultInTiers, ranksFromTiers, tiersFromRanks } from './tiers.ts';

const prompts = Array.from({ length: 1_000 }, (_, i) => `prompt ${i}`);
const held = (seed: number, all = prompts, fraction = 0.1) =>
  [...splitPrompts(all, fraction, seed)].filter(([, part]) => part === 'eval').map(([hash]) => hash);

test('the share is exact, repeats with its seed and changes with it', () => {
  expect(held(1).length).toBe(100);
  expect(held(1, prompts.toReversed())).toEqual(held(1));
  expect(new Set([...held(1), ...held(2)]).size).toBeGreaterThan(150);
});

test('one more prompt moves at most one other', () => {
  const before = new Set(held(1));
  expect(held(1, [...prompts, 'one more']).filter((hash) => !before.has(hash)).length).toBeLessThanOrEqual(1);
});

test.each([
  [0, 10, 0],
  [0.01, 10, 1],
  [0.9, 2, 1],
  [0.5, 1, 0]
])('a fraction of %d of %d prompts holds %d', (fraction, count, wanted) => {
  expect(held(3, prompts.slice(0, count), fraction).length).toBe(wanted);
});

test('places are spread evenly', () => {
  const low = prompts.filter((text) => placeOf(text) < 0.5).length;
  expect(low).toBeGreaterThan(440);
  expect(low).toBeLessThan(560);
});

test('canonical JSON sorts keys, leaves out undefined and keeps lists in order', () => {
  expect(canonicalJson({ b: [2, 1], a: { d: null, c: 'é"', e: undefined } })).toBe(
    '{"a":{"c":"é\\"","d":null},"b":[2,1]}'
  );
});

test('ranks become tiers: lower is better, equal is a tie, what is not finite is unranked', () => {
  expect(tiersFromRanks({ a: 2, b: 1.5, c: 2, d: Infinity, e: NaN })).toEqual([['b'], ['a', 'c']]);
  const tiers = [['x', 'y'], ['z']];
  expect(tiersFromRanks(ranksFromTiers(tiers))).toEqual(tiers);
});

test('tiers name outputs of the task once', () => {
  expect(faultInTiers([['a'], ['b']], ['a', 'b', 'c'])).toBeNull();
  expect(faultInTiers([['x']], ['a'])).toContain('not an output');
  expect(faultInTiers([['a'], ['a']], ['a'])).toContain('twice');
});
