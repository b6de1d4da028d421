import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { eq, sql } from 'drizzle-orm';
import type { Config } from '../config.ts';
import type { Database } from '../db/index.ts';
import { limits } from '../limits.ts';
import { lastEvent, runFolder, type RunRow } from './rows.ts';
import { runEvent } from './tables.ts';
import { LOG, refusalIn, withoutPaths, type TrainerRefusal } from './trainer.ts';

/** What becomes of a run whose trainer is no longer there. */
export type Ending =
  | { kind: 'done' }
  | { kind: 'cancelled' }
  | { kind: 'failed'; error: string }
  /** The trainer was ended from outside; it goes on at its newest checkpoint. */
  | { kind: 'resume' };

/**
 * Judges by what the trainer wrote, never by its exit code: a server that was away when it ended has no exit code.
 * All its events must have been taken in before.
 */
export async function endingOf(config: Config, db: Database, row: RunRow): Promise<Ending> {
  const last = await lastEvent(db, row.id);
  const said = last?.attempt === row.attempt ? last.event : null;
  if (said?.event === 'end' && said.status !== 'stopped') return { kind: 'done' };
  if (row.cancelRequestedAt) return { kind: 'cancelled' };
  if (said?.event === 'end') return { kind: 'resume' };
  const log = await logTail(config, row.id);
  const refusal = refusalIn(config, log);
  if (refusal) return { kind: 'failed', error: sentenceOf(refusal) };
  const deaths = row.attempt + 1 - (await stops(db, row.id));
  if (deaths <= limits.runs.resume_attempts_max) return { kind: 'resume' };
  return { kind: 'failed', error: diedTooOften(config, deaths, row.step, log) };
}

/** A machine that is shut down in order stops its trainers; that is no fault of the run. */
async function stops(db: Database, runId: string): Promise<number> {
  return db.$count(
    runEvent,
    sql`${eq(runEvent.runId, runId)} and event->>'event' = 'end' and event->>'status' = 'stopped'`
  );
}

function sentenceOf(refusal: TrainerRefusal): string {
  if (refusal.code === 'disk_full')
    return 'The disk of the server is full; free some space and start the run again. Its last checkpoint is kept.';
  const sentence = refusal.sentence();
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

function diedTooOften(config: Config, deaths: number, step: number, log: string): string {
  const last = withoutPaths(config, log.trimEnd().split('\n').at(-1) ?? '');
  const words = /^(step \d|resumed from|computing )/.test(last) ? '' : last;
  return (
    `The trainer was ended ${deaths} times without a word, the last time after step ${step}: ` +
    'it was killed or the machine ran out of memory; lower micro_batch_tokens or max_length.' +
    (words ? ` Its last line: ${words}` : '')
  );
}

/** The end of what the trainer wrote to stderr, over all its attempts. */
export async function logTail(config: Config, runId: string): Promise<string> {
  const file = await open(join(runFolder(config, runId), LOG), 'r').catch(() => null);
  if (!file) return '';
  try {
    const { size } = await file.stat();
    const length = Math.min(size, limits.runs.log_bytes_max);
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString('utf8');
  } finally {
    await file.close();
  }
}
