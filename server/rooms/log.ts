import { createHash, hash } from 'node:crypto';
import { asc, eq, sql } from 'drizzle-orm';
import { auditCall } from '../audit/index.ts';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { roomLog } from './tables.ts';

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
 */
export function createLog<Entry extends Row>(
  write: (rows: Row[]) => Promise<void>,
  on: { committed(entries: Entry[]): void; failed(entries: Entry[], error: unknown): void }
): Log<Entry> {
  let waiting: Entry[] = [];
  let running = false;
  let startedLast = -Infinity;
  let appended = 0;
  let done = 0;
  let watchers: { until: number; resolve: () => void }[] = [];

  async function drain(): Promise<void> {
    while (waiting.length) {
      const started = performance.now();
      const sinceLast = started - startedLast;
      startedLast = started;
      const entries = waiting.slice(0, ROWS_PER_COMMIT_MAX);
      waiting = waiting.slice(ROWS_PER_COMMIT_MAX);
      try {
        await write(entries);
        on.committed(entries);
      } catch (error) {
        fail(entries, error);
      }
      finish(entries.length);
      const early = started + intervalAt(entries.length / sinceLast) - performance.now();
      if (early > 1 && waiting.length < ROWS_PER_COMMIT_MAX)
        await new Promise((resolve) => setTimeout(resolve, early));
    }
    running = false;
  }

  /** What was built on lost entries must not be written without them. */
  function fail(entries: Entry[], error: unknown): void {
    const lost = new Set(entries.map(({ room }) => room));
    const orphans = waiting.filter(({ room }) => lost.has(room));
    waiting = waiting.filter(({ room }) => !lost.has(room));
    on.failed([...entries, ...orphans], error);
    finish(orphans.length);
  }

  function finish(count: number): void {
    done += count;
    for (const { resolve } of watchers.filter(({ until }) => until <= done)) resolve();
    watchers = watchers.filter(({ until }) => until > done);
  }

  return {
    append(entry) {
      appended++;
      waiting.push(entry);
      if (running) return;
      running = true;
      // The other frames that this turn of the event loop reads from sockets shall go along.
      setImmediate(() => void drain());
    },
    settled: () =>
      new Promise((resolve) => {
        if (done >= appended) resolve();
        else watchers.push({ until: appended, resolve });
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
