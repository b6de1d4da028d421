import { expect, test } from 'vitest';
import { letterOrder, shownOrder, unassignedSeat, williamsRow } from './shown-order.ts';

const count = <T>(items: T[]) => [...Map.groupBy(items, (item) => item).values()].map(({ length }) => length);

test.each([2, 3, 4, 5, 8, 26])(
  'of %i outputs each stands in each place, and after each other, equally often',
  (n) => {
    const rows = Array.from({ length: n % 2 ? 2 * n : n }, (_, seat) => williamsRow(n, seat));
    for (const row of rows) expect([...row].sort((a, b) => a - b)).toEqual([...Array(n).keys()]);
    const places = rows.flatMap((row) => row.map((item, place) => `${item} at ${place}`));
    const followers = rows.flatMap((row) => row.slice(1).map((item, i) => `${row[i]} then ${item}`));
    expect(new Set(count(places)).size).toBe(1);
    expect(new Set(count(followers)).size).toBe(1);
    expect(count(places)).toHaveLength(n * n);
    expect(count(followers)).toHaveLength(n * (n - 1));
  }
);

test('one output, or none, has one order', () => {
  expect(williamsRow(0, 3)).toEqual([]);
  expect(williamsRow(1, 3)).toEqual([0]);
});

test('two judges of a pair read it both ways round', () => {
  expect(shownOrder(['A', 'B'], 0)).toEqual(['A', 'B']);
  expect(shownOrder(['A', 'B'], 1)).toEqual(['B', 'A']);
});

test('letters do not follow the order of import: over many tasks each output gets each letter about equally often', () => {
  const letters = Array.from({ length: 3_000 }, (_, task) => {
    const outputs = ['a', 'b', 'c'].map((one) => ({ id: `output_${one}${task}`, one }));
    expect(letterOrder(outputs)).toEqual(letterOrder(outputs.toReversed()));
    return letterOrder(outputs)
      .map(({ one }) => one)
      .join('');
  });
  // Of 6 orders 500 times each is expected, with a standard deviation of 20.
  for (const times of count(letters)) expect(Math.abs(times - 500)).toBeLessThan(100);
});

test('a seat without a lease is the same each time, and differs between people and tasks', () => {
  expect(unassignedSeat('t', 'u')).toBe(unassignedSeat('t', 'u'));
  const seats = ['t1', 't2'].flatMap((task) => ['u1', 'u2'].map((user) => unassignedSeat(task, user)));
  expect(new Set(seats).size).toBe(4);
});
