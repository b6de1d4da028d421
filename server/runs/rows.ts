import { and, asc, desc, eq, gt, inArray, sql } from 'drizzle-orm';
import { join } from 'node:path';
import type { Run, TrainerEvent } from '#wire/run.ts';
import type { Config } from '../config.ts';
import type { Queryable } from '../db/index.ts';
import { run, runEvent } from './tables.ts';

export type RunRow = typeof run.$inferSelect;

export const runFolder = (config: Config, runId: string) => join(config.dataDir, 'runs', runId);
/** What the trainer writes: events, checkpoints and the adapter. */
export const outputFolder = (config: Config, runId: string) => join(runFolder(config, runId), 'output');
/** One run makes one adapter; that its id follows from the run's lets a repeated end find what is already kept. */
export const adapterIdOf = (runId: string) => runId.replace(/^run_/, 'adapter_');

export const hasEnded = ({ status }: Pick<RunRow, 'status'>) => status !== 'queued' && status !== 'running';

export async function findRun(db: Queryable, id: string): Promise<RunRow | null> {
  const [row] = await db.select().from(run).where(eq(run.id, id));
  return row ?? null;
}

/** The run to work on now: the one that is running, else the queue's oldest. */
export async function currentRun(db: Queryable): Promise<RunRow | null> {
  const [row] = await db
    .select()
    .from(run)
    .where(inArray(run.status, ['running', 'queued']))
    .orderBy(sql`${run.status} = 'queued'`, asc(run.createdAt), asc(run.id))
    .limit(1);
  return row ?? null;
}

export async function runsOf(db: Queryable, projectId: string, offset: number, limit: number) {
  return db
    .select()
    .from(run)
    .where(eq(run.projectId, projectId))
    .orderBy(desc(run.createdAt), desc(run.id))
    .offset(offset)
    .limit(limit);
}

export async function eventsAfter(db: Queryable, runId: string, seq: number, limit: number) {
  return db
    .select({ seq: runEvent.seq, event: runEvent.event })
    .from(runEvent)
    .where(and(eq(runEvent.runId, runId), gt(runEvent.seq, seq)))
    .orderBy(asc(runEvent.seq))
    .limit(limit);
}

export async function lastEvent(
  db: Queryable,
  runId: string
): Promise<{ seq: number; attempt: number; event: TrainerEvent } | null> {
  const [row] = await db
    .select()
    .from(runEvent)
    .where(eq(runEvent.runId, runId))
    .orderBy(desc(runEvent.seq))
    .limit(1);
  return row ? { seq: row.seq, attempt: row.attempt, event: row.event as TrainerEvent } : null;
}

export function runJson(row: RunRow): Run {
  const { id, name, objective, hyperparameters, status, step, metrics, error } = row;
  return {
    ...{ id, name, objective, hyperparameters, status, step, metrics, error },
    project: row.projectId,
    dataset: row.datasetId,
    model: row.modelId,
    parent_adapter: row.parentAdapterId,
    max_steps: row.maxSteps,
    adapter: status === 'done' ? adapterIdOf(id) : null,
    created_at: row.createdAt.toISOString(),
    started_at: row.startedAt?.toISOString() ?? null,
    ended_at: row.endedAt?.toISOString() ?? null
  };
}
