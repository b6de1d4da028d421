import { expect, test } from 'vitest';
import { Deliveries } from './deliveries.ts';

const STEP_1 = Uint8Array.of(0, 0, 1, 0);
const STEP_2 = Uint8Array.of(0, 1, 2, 0, 0);
const UPDATE = Uint8Array.of(0, 2, 2, 0, 0);
const PRESENCE = Uint8Array.of(1, 1, 0);
const clocks = (clock: number) => new Map([[7, clock]]);

function open(): Deliveries {
  const deliveries = new Deliveries();
  deliveries.owns(7);
  deliveries.connected();
  deliveries.sending(STEP_1);
  deliveries.sending(STEP_2);
  return deliveries;
}

test('an edit is saved once its clock and its frame have committed, not before', () => {
  const deliveries = open();
  deliveries.saved(clocks(3), 2);
  expect(deliveries.covers(clocks(3))).toBe(true);
  deliveries.sending(UPDATE);
  expect(deliveries.covers(clocks(4))).toBe(false);
  deliveries.saved(clocks(3), 3);
  expect(deliveries.covers(clocks(4))).toBe(false);
  deliveries.saved(clocks(4), 3);
  expect(deliveries.covers(clocks(4))).toBe(true);
});

test('a deletion moves no clock and is awaited by its frame', () => {
  const deliveries = open();
  deliveries.saved(clocks(4), 2);
  deliveries.sending(UPDATE);
  expect(deliveries.covers(clocks(4))).toBe(false);
  deliveries.saved(clocks(4), 3);
  expect(deliveries.covers(clocks(4))).toBe(true);
});

test('an edit for which no frame went out, on a socket that is closing, is not saved until the next sync', () => {
  const deliveries = open();
  deliveries.saved(clocks(4), 2);
  deliveries.edited();
  expect(deliveries.covers(clocks(4))).toBe(false);
  deliveries.connected();
  deliveries.sending(STEP_1);
  deliveries.sending(STEP_2);
  deliveries.saved(clocks(4), 2);
  expect(deliveries.covers(clocks(4))).toBe(true);
  deliveries.edited();
  deliveries.sending(UPDATE);
  deliveries.saved(clocks(4), 3);
  expect(deliveries.covers(clocks(4))).toBe(true);
});

test('after a reconnect nothing passes for saved before the server was told all that the page has', () => {
  const deliveries = open();
  deliveries.saved(clocks(4), 2);
  deliveries.connected();
  deliveries.sending(STEP_1);
  deliveries.saved(clocks(4), 1);
  expect(deliveries.covers(clocks(4))).toBe(false);
  deliveries.sending(STEP_2);
  deliveries.saved(clocks(4), 2);
  expect(deliveries.covers(clocks(4))).toBe(true);
});

test('what others did is not awaited: it was on disk before it came here', () => {
  const deliveries = open();
  deliveries.saved(clocks(1), 2);
  expect(deliveries.covers(new Map([...clocks(1), [8, 5]]))).toBe(true);
  deliveries.owns(8);
  expect(deliveries.covers(new Map([...clocks(1), [8, 5]]))).toBe(false);
});

test('presence is no edit', () => {
  const deliveries = open();
  deliveries.saved(clocks(1), 2);
  deliveries.sending(PRESENCE);
  expect(deliveries.covers(clocks(1))).toBe(true);
});
