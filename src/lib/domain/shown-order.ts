import { byText, placeOf } from './order.ts';

/**
 * A task's outputs in the order of their letters: the same for everybody on the task, and free of the order in which they were
 * imported, which is often that of the models. Ids are random, so this order is too.
 */
export function letterOrder<T extends { id: string }>(outputs: readonly T[]): T[] {
  const keyed = outputs.map((output) => ({ output, place: placeOf(output.id) }));
  return keyed
    .sort((a, b) => a.place - b.place || byText(a.output.id, b.output.id))
    .map(({ output }) => output);
}

/**
 * Row `seat` of a Williams design (Williams 1949): over its rows, n of them for even n and 2 n for odd, every item stands in every
 * place equally often, and follows every other equally often. Rows repeat after that.
 */
export function williamsRow(n: number, seat: number): number[] {
  const row = Array.from({ length: n }, (_, i) => (i % 2 ? (i + 1) / 2 : (n - i / 2) % n));
  const shifted = row.map((item) => (item + seat) % n);
  return n % 2 && Math.floor(seat / n) % 2 ? shifted.reverse() : shifted;
}

/** The order in which the judge at this seat reads the outputs, which are given in the order of their letters. */
export function shownOrder<T>(lettered: readonly T[], seat: number): T[] {
  return williamsRow(lettered.length, seat).map((item) => lettered[item]!);
}

/** A seat for somebody who was not handed the task: the same each time they come. */
export function unassignedSeat(task: string, user: string): number {
  return Math.floor(placeOf(`seat/${task}/${user}`) * 1_000_000);
}
