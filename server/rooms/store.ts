import type { Queryable } from '../db/index.ts';
import { parseRoom } from '#wire/room.ts';
import type { Services } from '../services.ts';
import { findTask } from '../tasks/index.ts';
import { clientsOf, issueClients } from './clients.ts';
import { insertRows, readLog, type Row } from './log.ts';
import type { Stored } from './room.ts';

/** What rooms keep on disk. The simulated rooms of the fault tests have one in memory that fails when told to. */
export interface RoomStore {
  load(room: string): Promise<Stored>;
  /** All of the rows or none, with the audit row that covers them. */
  append(rows: Row[]): Promise<void>;
  /** Client ids that nobody has had in this room. */
  issue(room: string, userId: string, count: number): Promise<number[]>;
  transaction<R>(work: (tx: StoreTransaction) => Promise<R>): Promise<R>;
}

export interface StoreTransaction {
  queryable: Queryable;
  append(rows: Row[]): Promise<void>;
  issue(room: string, userId: string, count: number): Promise<number[]>;
}

export function postgresStore({ db }: Services): RoomStore {
  return {
    async load(room) {
      const name = parseRoom(room);
      if (!name) throw new Error(`${room} is no room.`);
      if (name.kind === 'lobby') return { updates: [], lastSeq: 0, clients: new Map(), outputs: new Set() };
      const [log, clients, task] = await Promise.all([
        readLog(db, room),
        clientsOf(db, room),
        findTask(db, name.task)
      ]);
      return { ...log, clients, outputs: new Set(task?.outputs.map(({ id }) => id)) };
    },
    append: (rows) => insertRows(db, rows),
    issue: (room, userId, count) => issueClients(db, room, userId, count),
    transaction: (work) =>
      db.transaction((tx) =>
        work({
          queryable: tx,
          append: (rows) => insertRows(tx, rows),
          issue: (room, userId, count) => issueClients(tx, room, userId, count)
        })
      )
  };
}
