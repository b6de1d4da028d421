import { expect, test } from 'vitest';
import { doneOn, neededPerDay, paceOf } from './pace.ts';

test('a pace is the mean since the first day of the last seven on which something was judged', () => {
  expect(paceOf([])).toBeNull();
  expect(paceOf([9, 0, 0, 0, 0, 0, 0, 0])).toBeNull();
  expect(paceOf([0, 0, 0, 0, 0, 0, 0, 12])).toBe(12);
  expect(paceOf([100, 0, 0, 0, 10, 0, 0, 2])).toBe(3);
  expect(paceOf([7, 7, 7, 7, 7, 7, 7])).toBe(7);
});

test('days of the calendar are days, over the change of a month and of summer time', () => {
  expect(doneOn('2026-11-28', 30, 10)).toBe('2026-12-01');
  expect(doneOn('2026-10-24', 11, 10)).toBe('2026-10-26');
  expect(doneOn('2026-11-28', 0, 10)).toBeNull();
  expect(doneOn('2026-11-28', 5, null)).toBeNull();
  expect(doneOn('2026-11-28', 1e12, 0.001)).toBeNull();
  expect(neededPerDay('2026-11-28', '2026-11-28', 41)).toBe(41);
  expect(neededPerDay('2026-11-28', '2026-12-01', 41)).toBe(11);
  expect(neededPerDay('2026-11-28', '2026-11-27', 41)).toBeNull();
});
