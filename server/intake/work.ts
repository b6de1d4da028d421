import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { and, eq, sql } from 'drizzle-orm';
import { RowFault, type ImportedTask } from '#domain/imported.ts';
import { readRow } from '#domain/shapes.ts';
import type { Mapping } from '#wire/import.ts';
import { appendAudit } from '../audit/index.ts';
import { isFull } from '../db/disk.ts';
import type { Database, Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import { readFileRows, type ContentType } from './open.ts';
import { FileFault, type ReadRow } from './reading.ts';
import { faultOf, fileOf } from './receive.ts';
import { importError, importRow } from './tables.ts';

export interface IncomingTask {
  line: number;
  contentHash: string;
  task: ImportedTask;
}

/** Where rows go: given by the composition root, since tasks and rankings are later rooms. */
export interface Sink {
  contentHash(task: ImportedTask): string;
  /** Which of these contents the project already has. */
  known(tx: Queryable, projectId: string, hashes: string[]): Promise<Set<string>>;
  /** Adds tasks with their outputs and votes, in the import's transaction. */
  add(tx: Queryable, projectId: string, importId: string, tasks: IncomingTask[]): Promise<void>;
}

type Import = typeof importRow.$inferSelect;
type RowError = { line: number; code: string; detail: string };

/**
 * Takes an import from its cursor to its end, a batch in one transaction: tasks, errors, counts and the cursor move
 * together, so that a killed server goes on at the first row that was not committed. `stopping` ends it between
 * batches.
 */
export async function runImport(
  db: Database,
  sink: Sink,
  dataDir: string,
  id: string,
  stopping: () => boolean
): Promise<void> {
  const [row] = await db
    .update(importRow)
    .set({ status: 'running', heartbeatAt: sql`now()` })
    .where(and(eq(importRow.id, id), sql`${importRow.status} in ('queued', 'running')`))
    .returning();
  if (!row) return;
  try {
    if (!(await readOn(db, sink, dataDir, row, stopping))) return;
    await finish(db, id, null);
  } catch (error) {
    if (error instanceof Superseded) return;
    if (!(error instanceof FileFault)) log.error('import', { import: id, error });
    await finish(db, id, failureOf(error));
  }
  await rm(fileOf(dataDir, id), { force: true });
}

const DISK_FULL =
  'The disk of the server is full; free some space and send the file again. Rows counted as accepted are kept.';

function failureOf(error: unknown): string {
  if (error instanceof FileFault) return error.message;
  if ((error as { code?: string }).code === 'ENOENT')
    return 'The file is no longer on the server; send it again.';
  // Where it was PostgreSQL that found no room, the batch was rolled back.
  if (faultOf(error) !== error) return DISK_FULL;
  return 'The server failed to import the file; its log says why. Rows counted as accepted are kept.';
}

/** Another worker has taken this import on. */
class Superseded extends Error {}

/** False where it stopped before the end. */
async function readOn(
  db: Database,
  sink: Sink,
  dataDir: string,
  row: Import,
  stopping: () => boolean
): Promise<boolean> {
  let skip = row.cursor;
  let cursor = row.cursor;
  let batch: ReadRow[] = [];
  const commit = async () => {
    if (isFull(dataDir)) throw new FileFault(DISK_FULL);
    await commitBatch(db, sink, row, cursor, batch);
    cursor += batch.length;
    batch = [];
  };
  for await (const rows of readFileRows(
    fileOf(dataDir, row.id),
    row.contentType as ContentType,
    row.gzip > 0
  )) {
    const fresh = rows.slice(skip);
    skip -= rows.length - fresh.length;
    for (const one of fresh) {
      batch.push(one);
      if (batch.length < limits.intake.batch_rows) continue;
      await commit();
      if (stopping()) return false;
    }
  }
  if (batch.length) await commit();
  return true;
}

async function commitBatch(
  db: Database,
  sink: Sink,
  row: Import,
  cursor: number,
  batch: ReadRow[]
): Promise<void> {
  const { tasks, errors } = judge(sink, batch, row.mapping);
  await db.transaction(async (tx) => {
    const fresh = row.duplicatesKept ? tasks : await withoutDuplicates(tx, sink, row.projectId, tasks);
    const moved = await tx
      .update(importRow)
      .set({
        cursor: cursor + batch.length,
        rowsRead: sql`${importRow.rowsRead} + ${batch.length}`,
        rowsAccepted: sql`${importRow.rowsAccepted} + ${fresh.length}`,
        rowsRejected: sql`${importRow.rowsRejected} + ${errors.length}`,
        duplicates: sql`${importRow.duplicates} + ${tasks.length - fresh.length}`,
        heartbeatAt: sql`now()`
      })
      .where(and(eq(importRow.id, row.id), eq(importRow.cursor, cursor), eq(importRow.status, 'running')))
      .returning({ rejected: importRow.rowsRejected });
    if (!moved.length) throw new Superseded();
    await keepErrors(tx, row.id, errors, moved[0]!.rejected - errors.length);
    await sink.add(tx, row.projectId, row.id, fresh);
    await appendAudit(tx, {
      actor: 'system',
      action: 'import.batch',
      object: row.id,
      projectId: row.projectId,
      facts: {
        rows: [cursor + 1, cursor + batch.length],
        accepted: fresh.length,
        rejected: errors.length,
        sha256: createHash('sha256')
          .update(fresh.map(({ contentHash }) => contentHash).join('\n'))
          .digest('hex')
      }
    });
  });
}

function judge(sink: Sink, batch: ReadRow[], mapping: Mapping | null) {
  const tasks: IncomingTask[] = [];
  const errors: RowError[] = [];
  for (const row of batch) {
    if ('code' in row) {
      errors.push(row);
      continue;
    }
    try {
      const task = readRow(row.value, mapping);
      tasks.push({ line: row.line, task, contentHash: sink.contentHash(task) });
    } catch (error) {
      if (!(error instanceof RowFault)) throw error;
      errors.push({ line: row.line, code: error.code, detail: error.message });
    }
  }
  return { tasks, errors };
}

async function withoutDuplicates(
  tx: Queryable,
  sink: Sink,
  projectId: string,
  tasks: IncomingTask[]
): Promise<IncomingTask[]> {
  const seen = await sink.known(
    tx,
    projectId,
    tasks.map(({ contentHash }) => contentHash)
  );
  return tasks.filter(({ contentHash }) => !seen.has(contentHash) && seen.add(contentHash));
}

async function keepErrors(
  tx: Queryable,
  importId: string,
  errors: RowError[],
  before: number
): Promise<void> {
  const kept = errors.slice(0, Math.max(0, limits.intake.errors_kept_max - before));
  if (kept.length) await tx.insert(importError).values(kept.map((error) => ({ importId, ...error })));
}

async function finish(db: Database, id: string, failure: string | null): Promise<void> {
  await db.transaction(async (tx) => {
    const [row] = await tx
      .update(importRow)
      .set({ status: failure ? 'failed' : 'done', failure, endedAt: sql`now()` })
      .where(and(eq(importRow.id, id), eq(importRow.status, 'running')))
      .returning();
    if (!row) return;
    const { rowsRead, rowsAccepted, rowsRejected, duplicates, projectId } = row;
    await appendAudit(tx, {
      actor: 'system',
      action: failure ? 'import.fail' : 'import.end',
      object: id,
      projectId,
      facts: { rowsRead, rowsAccepted, rowsRejected, duplicates }
    });
  });
}
