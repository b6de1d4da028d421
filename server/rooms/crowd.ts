import { limits } from '../limits.ts';
import { Bucket } from './bucket.ts';
import { tooFast } from './refusal.ts';

/** Who is in, or on the way in: a place is taken before anything is waited for, or many at once would pass the count. */
export interface Crowd {
  /** Why there is no place; null where there is one. */
  full(room: string, userId: string): Full | null;
  /** Takes a place; throws a `Refusal` where there is none. The answer gives it back. */
  take(room: string, userId: string): Seat;
  count(): number;
}

/** `mine` and `room` may be full of sockets whose line was cut. */
type Full = 'mine' | 'room' | 'user' | 'house';

export interface Seat {
  /** The person's share of the server's time. */
  work: Bucket;
  leave(): void;
}

interface Person {
  seats: number;
  work: Bucket;
}

const SAYS: Record<Full, string> = {
  mine: 'You have this open in too many windows.',
  user: 'You have too many windows open.',
  room: 'It is full here; come back later.',
  house: 'The server is full; come back later.'
};

export function createCrowd(): Crowd {
  const rooms = new Map<string, Map<string, number>>();
  const people = new Map<string, Person>();
  let seats = 0;

  function full(room: string, userId: string): Full | null {
    const { sockets_max, sockets_per_user_max } = limits.rooms;
    const { perRoom, perUser } = roomLimits(room);
    const here = rooms.get(room);
    if (seats >= sockets_max) return 'house';
    if ((people.get(userId)?.seats ?? 0) >= sockets_per_user_max) return 'user';
    if ((here?.get(userId) ?? 0) >= perUser) return 'mine';
    return sum(here?.values() ?? []) >= perRoom ? 'room' : null;
  }

  function personOf(userId: string): Person {
    const known = people.get(userId);
    if (known) return known;
    const { work_ms_per_second, work_ms_burst } = limits.rooms;
    const person = { seats: 0, work: new Bucket(work_ms_per_second, work_ms_burst) };
    people.set(userId, person);
    return person;
  }

  /** Remembered until what they used has been refilled: coming back does not make it new. */
  function forgetLater(userId: string, person: Person): void {
    const { work_ms_per_second, work_ms_burst } = limits.rooms;
    const refilled = (2 * 1_000 * work_ms_burst) / work_ms_per_second;
    setTimeout(() => person.seats === 0 && people.delete(userId), refilled).unref();
  }

  function add(room: string, userId: string, count: 1 | -1): void {
    const here = rooms.get(room) ?? new Map<string, number>();
    rooms.set(room, here);
    here.set(userId, (here.get(userId) ?? 0) + count);
    if (!here.get(userId)) here.delete(userId);
    if (!here.size) rooms.delete(room);
    seats += count;
  }

  return {
    full,
    take(room, userId) {
      const why = full(room, userId);
      if (why) throw tooFast(SAYS[why]);
      const person = personOf(userId);
      person.seats++;
      add(room, userId, 1);
      let left = false;
      return {
        work: person.work,
        leave() {
          if (left) return;
          left = true;
          add(room, userId, -1);
          if (--person.seats === 0) forgetLater(userId, person);
        }
      };
    },
    count: () => seats
  };
}

function roomLimits(room: string): { perRoom: number; perUser: number } {
  const { rooms } = limits;
  if (room.startsWith('lobby/'))
    return { perRoom: rooms.sockets_per_lobby_max, perUser: rooms.sockets_per_user_and_lobby_max };
  return { perRoom: rooms.sockets_per_room_max, perUser: rooms.sockets_per_user_and_room_max };
}

function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}
