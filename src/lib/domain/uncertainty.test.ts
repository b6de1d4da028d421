import { expect, test } from 'vitest';
import type { RankingKind, RecordedVerdict, Tiers } from '#wire/ranking.ts';
import { fitStrengths, preferenceUncertainty } from './bradley-terry.ts';
import type { Judgement } from './pairs.ts';
import { agreementOfTwo, disagreement, uncertaintyOf } from './uncertainty.ts';

let made = 0;
const judged = (tiers: Tiers, given: Partial<Judgement> = {}): Judgement => ({
  ...{ id: `r${++made}`, kind: 'review' as RankingKind, rater: `rater${made}`, version: 1, tiers },
  ...{ verdict: 'ranked' as RecordedVerdict, edited: null, strength: null, afterReveal: false },
  submittedAt: '2026-01-01T00:00:00.000Z',
  ...given
});
const A: Tiers = [['a'], ['b']];
const B: Tiers = [['b'], ['a']];
const TIE: Tiers = [['a', 'b']];

test('the agreement of two raters in the table of Fleiss 1971 as it is commonly cited: fourteen raters, five categories', () => {
  const rows: [number[], number][] = [
    [[0, 0, 0, 0, 14], 1],
    [[0, 2, 6, 4, 2], 0.253],
    [[0, 0, 3, 5, 6], 0.308],
    [[0, 3, 9, 2, 0], 0.44],
    [[2, 2, 8, 1, 1], 0.33],
    [[7, 7, 0, 0, 0], 0.462]
  ];
  for (const [counts, published] of rows) expect(agreementOfTwo(counts)).toBeCloseTo(published, 3);
});

test('disagreement: none where all say the same, also a tie; 2 of 3 where one of three differs; all of it between two', () => {
  const of = (...tiers: Tiers[]) =>
    disagreement(
      ['a', 'b'],
      tiers.map((one) => judged(one))
    );
  expect(of(A, A, A)).toBe(0);
  expect(of(TIE, TIE)).toBe(0);
  expect(of(A, A, B)).toBeCloseTo(2 / 3, 12);
  expect(of(A, B)).toBe(1);
  expect(of(A, TIE)).toBe(1);
  expect(of(A)).toBeNull();
  expect(of()).toBeNull();
});

test('disagreement over three outputs is the mean over the pairs that two raters placed', () => {
  const outputs = ['a', 'b', 'c'];
  expect(disagreement(outputs, [judged([['a'], ['b'], ['c']]), judged([['b'], ['a'], ['c']])])).toBeCloseTo(
    1 / 3,
    12
  );
  expect(disagreement(outputs, [judged([['a'], ['b']]), judged([['b'], ['a'], ['c']])])).toBe(1);
});

test('what does not count: taken back, unable to judge, after the reveal, an earlier version; a decision ends the disagreement', () => {
  const outputs = ['a', 'b'];
  const one = judged(A, { rater: 'ada' });
  const other = (given: Partial<Judgement>) => disagreement(outputs, [one, judged(B, given)]);
  expect(other({ verdict: 'withdrawn' })).toBeNull();
  expect(other({ verdict: 'cannot_judge' })).toBeNull();
  expect(other({ afterReveal: true })).toBeNull();
  expect(other({ rater: 'ada', version: 2 })).toBeNull();
  expect(other({ kind: 'import', rater: 'vote' })).toBe(1);
  expect(disagreement(outputs, [one, judged(B), judged(A, { kind: 'consensus' })])).toBe(0);
});

test('a task is as uncertain as its two sources that are least told apart, and as its raters disagree', () => {
  const fit = fitStrengths([{ winner: 'large', loser: 'small', times: 500 }]);
  const [large, small] = [
    { id: 'a', source: 'large' },
    { id: 'b', source: 'small' }
  ];
  const known = preferenceUncertainty(fit, 'large', 'small');
  const unseen = preferenceUncertainty(fit, 'large', 'unseen');
  expect(uncertaintyOf([large, small], [], fit, null)).toBe(known);
  expect(uncertaintyOf([large, small, { id: 'c', source: 'unseen' }], [], fit, null)).toBe(
    Math.max(unseen, preferenceUncertainty(fit, 'small', 'unseen'))
  );
  expect(uncertaintyOf([large, small], [judged(A), judged(B)], fit, null)).toBeCloseTo((1 + known) / 2, 12);
  expect(uncertaintyOf([large, small], [judged(A), judged(B)], null, null)).toBe(1);
  expect(uncertaintyOf([large, { id: 'b', source: null }], [], fit, null)).toBeNull();
  expect(uncertaintyOf([large, { id: 'b', source: 'large' }], [], fit, null)).toBeNull();
});

test('a margin of the adapter counts half as much as what people said', () => {
  const fit = fitStrengths([{ winner: 'large', loser: 'small', times: 500 }]);
  const outputs = [
    { id: 'a', source: 'large' },
    { id: 'b', source: 'small' }
  ];
  const known = preferenceUncertainty(fit, 'large', 'small');
  const quarter = Math.log(7);
  expect(uncertaintyOf(outputs, [], null, quarter)).toBeCloseTo(0.25, 12);
  expect(uncertaintyOf(outputs, [], fit, 0)).toBeCloseTo((known + 0.5) / 1.5, 12);
  expect(uncertaintyOf(outputs, [judged(A), judged(B)], null, quarter)).toBeCloseTo(1.125 / 1.5, 12);
  expect(uncertaintyOf(outputs, [judged(A), judged(B)], fit, quarter)).toBeCloseTo(
    (1 + known + 0.125) / 2.5,
    12
  );
  const opposed = uncertaintyOf(outputs, [judged(A), judged(B)], null, 800)!;
  expect(opposed).toBeGreaterThan(uncertaintyOf(outputs, [judged(A), judged(A)], null, 0)!);
});
