import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import { createLog } from './log.ts';
import { loadRoom, type Pending, type Room } from './room.ts';
import type { RoomStore } from './store.ts';

/** The rooms in memory: loaded from the log when somebody comes, dropped some time after the last one left. */
export interface OpenRooms {
  /** The room, held open until `leave`. */
  enter(name: string): Promise<Room>;
  leave(room: Room): void;
  /** The room if it is open. */
  find(name: string): Room | null;
  /** Puts a proposed update into the log's line. */
  append(row: Pending): void;
  /** Resolves when all that was appended so far has committed or failed. */
  settled(): Promise<void>;
  /** Throws out everybody in a room that can no longer be trusted; they come back to a fresh one. */
  condemn(room: Room): void;
  count(): number;
  commits(): number;
  close(): Promise<void>;
}

interface Slot {
  loading: Promise<Room>;
  room: Room | null;
  guests: number;
  idle: NodeJS.Timeout | null;
}

const TRY_AGAIN = 1013;
const GOING_AWAY = 1001;

export function createOpenRooms(store: RoomStore): OpenRooms {
  const slots = new Map<string, Slot>();
  const condemned = new Set<string>();
  let commits = 0;

  const journal = createLog<Pending>((rows) => store.append(rows), {
    committed(entries) {
      commits++;
      for (const [room, rows] of countByRoom(entries)) if (!room.dead) commit(room, rows);
    },
    failed(entries, error) {
      log.error('room commit', { rows: entries.length, error });
      for (const room of countByRoom(entries).keys()) condemn(room);
    }
  });

  function commit(room: Room, rows: number): void {
    room.commit(rows);
    for (const connection of room.connections) connection.retry();
  }

  async function load(name: string): Promise<Room> {
    // What the log still writes for the one before must be read too.
    if (condemned.delete(name)) await journal.settled();
    return loadRoom(name, await store.load(name));
  }

  function slotOf(name: string): Slot {
    const known = slots.get(name);
    if (known) return known;
    const slot: Slot = { loading: load(name), room: null, guests: 0, idle: null };
    slots.set(name, slot);
    slot.loading.then(
      (room) => (slot.room = room),
      () => slots.delete(name)
    );
    return slot;
  }

  /** Drops a room that nobody is in once its last edits are on disk. */
  function sweep(name: string, slot: Slot): void {
    if (slot.guests || slots.get(name) !== slot) return;
    if (slot.room!.pending()) return dropLater(name, slot);
    slots.delete(name);
    slot.room!.destroy();
  }

  function dropLater(name: string, slot: Slot): void {
    if (slot.idle) clearTimeout(slot.idle);
    slot.idle = setTimeout(() => sweep(name, slot), limits.rooms.idle_seconds * 1000);
    slot.idle.unref();
  }

  function condemn(room: Room): void {
    if (room.dead) return;
    if (slots.get(room.name)?.room === room) slots.delete(room.name);
    condemned.add(room.name);
    room.destroy();
    for (const connection of room.connections) connection.close(TRY_AGAIN, 'Not saved; come back.');
  }

  return {
    condemn,
    append: (row) => journal.append(row),
    settled: () => journal.settled(),
    find: (name) => slots.get(name)?.room ?? null,
    count: () => slots.size,
    commits: () => commits,
    async enter(name) {
      const slot = slotOf(name);
      slot.guests++;
      if (slot.idle) clearTimeout(slot.idle);
      return slot.loading;
    },
    leave(room) {
      const slot = slots.get(room.name);
      if (slot?.room === room && --slot.guests === 0) dropLater(room.name, slot);
    },
    async close() {
      await journal.settled();
      for (const { room, idle } of slots.values()) {
        if (idle) clearTimeout(idle);
        for (const connection of room?.connections ?? [])
          connection.close(GOING_AWAY, 'The server is stopping.');
        room?.destroy();
      }
      slots.clear();
    }
  };
}

function countByRoom(entries: { owner: Room }[]): Map<Room, number> {
  const counts = new Map<Room, number>();
  for (const { owner } of entries) counts.set(owner, (counts.get(owner) ?? 0) + 1);
  return counts;
}
