import { expect, test } from 'vitest';
import type { Ranking } from '$lib/wire/ranking';
import { seated, votes } from './seats.ts';

let version = 0;
const ranking = (name: string, given: Partial<Ranking> = {}): Ranking => ({
  ...{ id: `r${++version}`, task: 't', kind: 'review', version, tiers: [['a']], verdict: 'ranked' },
  ...{
    undoes: null,
    reason: null,
    ratings: {},
    edited: null,
    comment: null,
    strength: null,
    spans: [],
    shown_order: null
  },
  ...{ after_reveal: false, submitted_at: '2026-01-01T00:00:00Z', rater: { id: name, name } },
  ...given
});

test('each rater sits once, with their last word before the reveal and their last after it', () => {
  const [first, second, late] = [ranking('Bo'), ranking('Bo'), ranking('Bo', { after_reveal: true })];
  const ada = ranking('Ada');
  const table = seated([first, ada, second, late]);
  expect(table.seats).toEqual([
    { key: 'review/Ada', name: 'Ada', before: ada, after: null },
    { key: 'review/Bo', name: 'Bo', before: second, after: late }
  ]);
  expect(votes(table)).toEqual([ada, second]);
});

test('who took their only judgement back does not sit there; verdicts without a ranking are no votes', () => {
  const table = seated([
    ranking('Ada'),
    ranking('Ada', { verdict: 'withdrawn' }),
    ranking('Bo', { verdict: 'all_bad' })
  ]);
  expect(table.seats.map(({ name }) => name)).toEqual(['Bo']);
  expect(votes(table)).toEqual([]);
});

test('an adjudication stands before a consensus, and both before nothing', () => {
  const [consensus, adjudication] = [
    ranking('Ada', { kind: 'consensus' }),
    ranking('Di', { kind: 'adjudication' })
  ];
  expect(seated([]).decided).toBeNull();
  expect(seated([consensus]).decided).toBe(consensus);
  expect(seated([adjudication, consensus]).decided).toBe(adjudication);
});
