import { createHash, hash } from 'node:crypto';
import { asc, eq, sql } from 'drizzle-orm';
import { auditCall } from '../audit/index.ts';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { roomLog } from './tables.ts';
import { createTurns } from './turns.ts';

export interface Row {
  room: string;
  seq: number;
  userId: string;
  bytes: Uint8Array;
}

export interface Log<Entry extends Row> {
  /** Queues an entry for the next group commit. */
  append(entry: Entry): void;
  /** Resolves when all that was appended so far has committed or failed. */
  settled(): Promise<void>;
}

const ROWS_PER_COMMIT_MAX = 1_000;
const MS_AT_A_ROW_PER_MS = 8;

/**
 * Group commit: what comes while one transaction runs goes into the next, all rooms together, so that one wait for the
 * disk and one audit row serve many edits. Nobody is told "saved", and nobody else sees an edit, before `committed`.
 *
 * Where commits come as seldom as they may, rooms take turns: each is in every other one, and its pages are told of more
 * at once, while those of the other half are not kept waiting by it.
 */
export function createLog<Entry extends Row>(
  write: (rows: Row[]) => Promise<void>,
  on: { committed(entries: Entry[]): void; failed(entries: Entry[], error: unknown): void }
): Log<Entry> {
  const waiting = createTurns<Entry>();
  let running = false;
  let writing = false;
  let startedLast = -Infinity;
  let interval = 0;
  let begun = 0;
  /** What was waiting when somebody began to watch is in the next commit as a whole. */
  let watchers: { before: number; resolve: () => void }[] = [];

  async function drain(): Promise<void> {
    while (waiting.count) {
      const started = performance.now();
      const sinceLast = started - startedLast;
      startedLast = started;
      const entries = next();
      const commit = ++begun;
      writing = true;
      try {
        await write(entries);
        on.committed(entries);
      } catch (error) {
        fail(entries, error);
      }
      writing = false;
      notice(({ before }) => commit > before || !waiting.count);
      interval = intervalAt(entries.length / sinceLast);
      const early = started + interval - performance.now();
      if (early > 1 && waiting.count < ROWS_PER_COMMIT_MAX)
        await new Promise((resolve) => setTimeout(resolve, early));
    }
    running = false;
  }

  function next(): Entry[] {
    if (watchers.length) return waiting.take('all', Infinity);
    const isBusy = interval >= limits.rooms.commit_interval_ms_max;
    return waiting.take(isBusy ? 'half' : 'all', ROWS_PER_COMMIT_MAX);
  }

  /** What was built on lost entries must not be written without them. */
  function fail(entries: Entry[], error: unknown): void {
    const lost = new Set(entries.map(({ room }) => room));
    on.failed([...entries, ...waiting.drop(lost)], error);
  }

  function notice(isDone: (watcher: { before: number }) => boolean): void {
    for (const { resolve } of watchers.filter(isDone)) resolve();
    watchers = watchers.filter((watcher) => !isDone(watcher));
  }

  return {
    append(entry) {
      waiting.add(entry);
      if (running) return;
      running = true;
      // The other frames that this turn of the event loop reads from sockets shall go along.
      setImmediate(() => void drain());
    },
    settled: () =>
      new Promise((resolve) => {
        if (!waiting.count && !writing) resolve();
        else watchers.push({ before: begun, resolve });
      })
  };
}

/**
 * Milliseconds from the start of one commit to that of the next, by how many rows come in one: what a commit costs
 * whatever it holds stays a small share of the time, and rows that come seldom do not wait.
 */
const intervalAt = (rowsPerMs: number) =>
  Math.min(MS_AT_A_ROW_PER_MS * rowsPerMs, limits.rooms.commit_interval_ms_max);

/** Log rows and the audit row that covers them by range and hash, all or none: one statement, one wait for the database. */
export async function insertRows(tx: Queryable, rows: Row[]): Promise<void> {
  const hashes = rows.map(({ bytes }) => hash('sha256', bytes));
  const buffers = rows.map(({ bytes }) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const facts = commitFacts(rows, hashes);
  await tx.execute(sql`with added as (insert into room_log (room, seq, user_id, bytes, sha256)
    select * from unnest(${sql.param(rows.map(({ room }) => room))}::text[],
      ${sql.param(rows.map(({ seq }) => seq))}::bigint[],
      ${sql.param(rows.map(({ userId }) => userId))}::text[],
      ${sql.param(buffers)}::bytea[], ${sql.param(hashes)}::text[]))
    select ${auditCall({ ...facts, actor: 'system', projectId: null })}`);
}

function commitFacts(rows: Row[], hashes: string[]) {
  const ranges: Record<string, [number, number]> = {};
  const digest = createHash('sha256');
  rows.forEach(({ room, seq, userId }, i) => {
    ranges[room] = [ranges[room]?.[0] ?? seq, seq];
    digest.update(`${room} ${seq} ${userId} ${hashes[i]}\n`);
  });
  const facts = { rows: rows.length, ranges, sha256: digest.digest('hex') };
  return { action: 'room.commit', object: 'room_log', facts };
}

/** A room's updates in order, and the number of the last. */
export async function readLog(
  db: Queryable,
  room: string
): Promise<{ updates: Uint8Array[]; lastSeq: number }> {
  const rows = await db
    .select({ seq: roomLog.seq, bytes: roomLog.bytes })
    .from(roomLog)
    .where(eq(roomLog.room, room))
    .orderBy(asc(roomLog.seq));
  return { updates: rows.map(({ bytes }) => bytes), lastSeq: rows.at(-1)?.seq ?? 0 };
}
