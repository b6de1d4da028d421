import { expect, test } from 'vitest';
import { derivePairs, type Judgement } from './pairs.ts';

let count = 0;
function judged(rater: string, tiers: string[][], more: Partial<Judgement> = {}): Judgement {
  const submittedAt = new Date(1e12 + ++count * 1000).toISOString();
  const base = { id: `r${count}`, kind: 'review' as const, rater, version: 1, tiers, submittedAt };
  return { ...base, verdict: 'ranked', edited: null, strength: null, afterReveal: false, ...more };
}
const say = (judgements: Judgement[], outputs = ['a', 'b', 'c']) =>
  derivePairs(outputs, judgements).map((p) => `${p.editedText ?? p.chosen}>${p.rejected}`);

test('a ranking with a tie makes every pair but the tied one', () => {
  expect(say([judged('x', [['b'], ['a', 'c']])])).toEqual(['b>a', 'b>c']);
});

test('unranked outputs make no pair', () => {
  expect(say([judged('x', [['c'], ['a']])])).toEqual(['c>a']);
});

test('a majority is more than half of those who placed both, ties counted', () => {
  const a = [['a'], ['b']];
  const b = [['b'], ['a']];
  const tie = [['a', 'b']];
  const of = (...all: string[][][]) => say(all.map((tiers, i) => judged(`x${i}`, tiers)));
  expect(of(a, a, b)).toEqual(['a>b']);
  expect(of(a, a, tie)).toEqual(['a>b']);
  expect(of(a, tie, tie)).toEqual([]);
  expect(of(a, b)).toEqual([]);
  expect(of(b, b, a, tie)).toEqual([]);
});

test('votes and the judgements that say so come along, the earliest first', () => {
  const all = [judged('y', [['a'], ['b']]), judged('x', [['a'], ['b']]), judged('z', [['b'], ['a']])];
  const [pair] = derivePairs(['a', 'b'], all);
  expect(pair!.votes).toEqual({ for: 2, against: 1, tie: 0 });
  expect(pair!.by.map(({ rater }) => rater)).toEqual(['y', 'x']);
});

test("only a rater's last version before the reveal counts", () => {
  const first = judged('x', [['a'], ['b']]);
  const second = judged('x', [['b'], ['a']], { version: 2 });
  const late = judged('x', [['a'], ['b']], { version: 3, afterReveal: true });
  expect(say([second, first, late])).toEqual(['b>a']);
});

test('an adjudication stands before a consensus, and that before the raters', () => {
  const rater = judged('x', [['a'], ['b']]);
  const consensus = judged('y', [['b'], ['a']], { kind: 'consensus', afterReveal: true });
  const adjudication = judged('z', [['c'], ['a'], ['b']], { kind: 'adjudication', afterReveal: true });
  expect(say([rater, consensus])).toEqual(['b>a']);
  expect(say([adjudication, consensus, rater])).toEqual(['a>b', 'c>a', 'c>b']);
});

test('all_bad and cannot_judge make no pair and no denominator', () => {
  const a = judged('x', [['a'], ['b']]);
  expect(say([a, judged('y', [['b'], ['a']], { verdict: 'all_bad' })])).toEqual(['a>b']);
  expect(say([judged('y', [['b'], ['a']], { verdict: 'cannot_judge' })])).toEqual([]);
});

test('an edited text beats its original, also where all were bad', () => {
  const edited = { output: 'b', text: 'better' };
  expect(say([judged('x', [['b'], ['a']], { edited })])).toEqual(['b>a', 'better>b']);
  expect(say([judged('x', [], { verdict: 'all_bad', edited })])).toEqual(['better>b']);
  expect(say([judged('x', [], { verdict: 'cannot_judge', edited })])).toEqual([]);
});

test('imported sources count like raters', () => {
  const votes = ['p', 'q', 'r'].map((rater) => judged(rater, [['c'], ['a']], { kind: 'import' }));
  expect(say(votes)).toEqual(['c>a']);
});
