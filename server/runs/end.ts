import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { and, eq, inArray, sql } from 'drizzle-orm';
import { TextError } from '../../src/lib/text/index.ts';
import { appendAudit } from '../audit/index.ts';
import type { Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { log } from '../net/log.ts';
import type { Services } from '../services.ts';
import type { Ending } from './ending.ts';
import { RunFailure, type FindAdapter } from './job.ts';
import { outputFolder, runFolder, type RunRow } from './rows.ts';
import { run } from './tables.ts';

/** What a run hands over when its adapter is there; `folder` is the trainer's PEFT folder. */
export interface NewAdapter {
  runId: string;
  projectId: string;
  modelId: string;
  parentAdapterId: string | null;
  name: string;
  folder: string;
}

/** Adapters belong to a later room; the composition root hands these in. */
export interface Artifacts {
  /** Keeps the adapter in the transaction that ends its run; answers its id. */
  onAdapter(tx: Queryable, adapter: NewAdapter): Promise<string>;
  findAdapter: FindAdapter;
}

const actions = { done: 'run.end', failed: 'run.fail', cancelled: 'run.cancelled' } as const;

/** Status, adapter and audit row stand or fall together. */
export async function endRun(
  { config, db }: Services,
  { onAdapter }: Artifacts,
  { id }: RunRow,
  ending: Exclude<Ending, { kind: 'resume' }>
): Promise<void> {
  const error = ending.kind === 'failed' ? ending.error : null;
  await db.transaction(async (tx) => {
    const [ended] = await tx
      .update(run)
      .set({ status: ending.kind, error, endedAt: sql`now()`, pid: null, pidStart: null })
      .where(and(eq(run.id, id), inArray(run.status, ['queued', 'running'])))
      .returning();
    if (!ended) return;
    const { projectId, modelId, parentAdapterId, name, step, attempt } = ended;
    const folder = join(outputFolder(config, id), 'adapter');
    if (ending.kind === 'done')
      await onAdapter(tx, { runId: id, projectId, modelId, parentAdapterId, name, folder });
    const facts = { step, attempts: attempt + 1 };
    await appendAudit(tx, { actor: 'system', action: actions[ending.kind], object: id, projectId, facts });
  });
  await sweep(runFolder(config, id), ending.kind === 'done').catch((error) =>
    log.warn('sweeping a run', { run: id, error })
  );
}

/** The dataset's tokens, and after a good end the checkpoints: they were only for going on. */
async function sweep(folder: string, done: boolean): Promise<void> {
  for (const name of await readdir(folder).catch(() => []))
    if (name.includes('.safetensors')) await rm(join(folder, name), { force: true });
  if (!done) return;
  for (const name of await readdir(join(folder, 'output')))
    if (name !== 'events.jsonl') await rm(join(folder, 'output', name), { recursive: true, force: true });
}

/** The sentence that a run fails with; null where it is tried again: it may be the server that is in trouble. */
export function failureOf(error: unknown, last: boolean): string | null {
  if (error instanceof RunFailure || error instanceof TextError || error instanceof Fault)
    return error.message;
  const code = (error as { code?: string }).code ?? (error as { cause?: { code?: string } }).cause?.code;
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === '53100')
    return 'The disk of the server is full; free some space and start the run again.';
  return last ? 'The server failed to carry on this run; its log says why.' : null;
}
