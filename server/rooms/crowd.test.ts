import { expect, test } from 'vitest';
import { limits } from '../limits.ts';
import { createCrowd, type Seat } from './crowd.ts';

const { rooms } = limits;

/** Takes seats until there is none; how many there were. */
function fill(take: (n: number) => Seat): Seat[] {
  const seats: Seat[] = [];
  try {
    for (;;) seats.push(take(seats.length));
  } catch {
    return seats;
  }
}

test('the house has so many places and no more, and one that is left is free again', () => {
  const crowd = createCrowd();
  const seats = fill((n) => crowd.take(`table/${n % 1_000}`, `person ${n}`));
  expect([seats.length, crowd.count()]).toEqual([rooms.sockets_max, rooms.sockets_max]);
  expect(() => crowd.take('table/free', 'somebody')).toThrow('The server is full; come back later.');
  seats[0]!.leave();
  seats[0]!.leave();
  expect(crowd.count()).toBe(rooms.sockets_max - 1);
  crowd.take('table/free', 'somebody');
});

test('a thousand reviewers with a ballot, a table and a lobby each fit, and half as many who come back', () => {
  expect(rooms.sockets_max).toBeGreaterThanOrEqual(1_000 * 3 * 1.3);
});

test.each([
  ['a document', 'table/x', rooms.sockets_per_user_and_room_max, rooms.sockets_per_room_max],
  ['a lobby', 'lobby/x', rooms.sockets_per_user_and_lobby_max, rooms.sockets_per_lobby_max]
])('%s holds so many of one person and so many in all', (_, room, perUser, perRoom) => {
  expect(fill(() => createdOnce.take(room, 'one')).length).toBe(perUser);
  const crowd = createCrowd();
  expect(fill((n) => crowd.take(room, `person ${Math.floor(n / perUser)}`)).length).toBe(perRoom);
  expect(crowd.full(room, 'another')).toBe('room');
  expect(crowd.full('table/other', 'another')).toBeNull();
});
const createdOnce = createCrowd();

test('one person has so many sockets, wherever they are', () => {
  const crowd = createCrowd();
  const seats = fill((n) => crowd.take(`table/${n}`, 'one'));
  expect(seats.length).toBe(rooms.sockets_per_user_max);
  expect(crowd.full('table/new', 'one')).toBe('user');
  crowd.take('table/new', 'another');
});

test('coming back does not refill what one has used of the server’s time', () => {
  const crowd = createCrowd();
  const seat = crowd.take('table/x', 'one');
  seat.work.spend(rooms.work_ms_burst + 500);
  seat.leave();
  expect(crowd.take('table/x', 'one').work.spend(0)).toBe(false);
  expect(crowd.take('table/x', 'another').work.spend(0)).toBe(true);
});
