import { open } from 'node:fs/promises';
import { and, eq, sql } from 'drizzle-orm';
import { TrainerEvent, type RunMetrics } from '#wire/run.ts';
import type { Database } from '../db/index.ts';
import type { RunRow } from './rows.ts';
import { run, runEvent } from './tables.ts';

const CHUNK_BYTES = 1_048_576;

/**
 * The whole lines that stand in the file from `cursor` on, and where they end; `plain` takes out what pages must not see.
 * A line that is no event (cut by a crash, then ended by the trainer that went on) is passed over.
 */
export async function readEvents(
  path: string,
  cursor: number,
  plain: (line: string) => string
): Promise<{ events: TrainerEvent[]; cursor: number }> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!file) return { events: [], cursor };
  try {
    const { size } = await file.stat();
    // After a loss of power the file may be shorter than what was read of it.
    if (size <= cursor) return { events: [], cursor: Math.min(size, cursor) };
    const { buffer, bytesRead } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, cursor);
    const end = buffer.subarray(0, bytesRead).lastIndexOf('\n') + 1;
    const lines = buffer.subarray(0, end).toString('utf8').split('\n');
    return { events: lines.flatMap((line) => eventOf(plain(line))), cursor: cursor + end };
  } finally {
    await file.close();
  }
}

function eventOf(line: string): TrainerEvent[] {
  try {
    return [TrainerEvent.parse(JSON.parse(line))];
  } catch {
    return [];
  }
}

/** How far a run's events have been taken in. */
export interface Taken {
  seq: number;
  cursor: number;
  /** The last step of each kind of event: a trainer that went on at a checkpoint says later steps a second time. */
  steps: Map<string, number>;
}

export async function takenSoFar(db: Database, row: RunRow): Promise<Taken> {
  const found = await db.execute<{ event: string; step: number | null; seq: number }>(sql`
    select event->>'event' as event, max((event->>'step')::int) as step, max(seq)::int as seq
    from run_event where run_id = ${row.id} group by 1`);
  const steps = found.rows.filter(({ event }) => BY_STEP.has(event));
  return {
    seq: Math.max(0, ...found.rows.map(({ seq }) => seq)),
    cursor: row.cursor,
    steps: new Map(steps.map(({ event, step }) => [event, step ?? 0]))
  };
}

const BY_STEP = new Set(['step', 'eval', 'checkpoint']);

/** Leaves out what was already taken in before the trainer went back to a checkpoint; notes what is new. */
export function fresh(events: TrainerEvent[], steps: Map<string, number>): TrainerEvent[] {
  return events.filter((event) => {
    if (!BY_STEP.has(event.event)) return true;
    const step = Number(event.step);
    if (step <= (steps.get(event.event) ?? 0)) return false;
    steps.set(event.event, step);
    return true;
  });
}

/** Another server, or a cancel, has taken this run away. */
export class Superseded extends Error {}

/** Events, figures and cursor move in one transaction, so that a killed server takes every line exactly once. */
export async function takeEvents(
  db: Database,
  row: RunRow,
  taken: Taken,
  read: { events: TrainerEvent[]; cursor: number }
): Promise<Taken> {
  const steps = new Map(taken.steps);
  const events = fresh(read.events, steps);
  await db.transaction(async (tx) => {
    const moved = await tx
      .update(run)
      .set({ cursor: read.cursor, heartbeatAt: sql`now()`, ...figuresOf(events) })
      .where(and(eq(run.id, row.id), eq(run.cursor, taken.cursor), eq(run.status, 'running')))
      .returning({ id: run.id });
    if (!moved.length) throw new Superseded();
    if (events.length)
      await tx.insert(runEvent).values(
        events.map((event, i) => ({
          ...{ runId: row.id, seq: taken.seq + 1 + i, attempt: row.attempt, event }
        }))
      );
  });
  return { seq: taken.seq + events.length, cursor: read.cursor, steps };
}

function figuresOf(events: TrainerEvent[]) {
  const steps = events.filter(({ event }) => event === 'step');
  const start = events.findLast(({ event }) => event === 'start');
  const metrics = Object.assign({}, ...events.map(metricsOf)) as RunMetrics;
  return {
    ...(Object.keys(metrics).length
      ? { metrics: sql`${run.metrics} || ${JSON.stringify(metrics)}::jsonb` }
      : {}),
    ...(steps.length ? { step: Number(steps.at(-1)!.step) } : {}),
    ...(start ? { maxSteps: Number(start.total_steps) } : {})
  };
}

function metricsOf({ event, step: _, time: __, ...figures }: TrainerEvent): RunMetrics {
  if (event !== 'step' && event !== 'eval') return {};
  return Object.fromEntries(
    Object.entries(figures).filter((entry): entry is [string, number] => typeof entry[1] === 'number')
  );
}
