import { and, asc, eq, gt, sql } from 'drizzle-orm';
import type { Dataset, Split } from '#wire/dataset.ts';
import type { TrlPair } from '#wire/pair.ts';
import type { Queryable } from '../db/index.ts';
import { dataset, datasetRow } from './tables.ts';

export interface DatasetRow {
  seq: number;
  split: Split;
  row: TrlPair;
}

export async function findDataset(db: Queryable, id: string): Promise<typeof dataset.$inferSelect | null> {
  const [row] = await db.select().from(dataset).where(eq(dataset.id, id));
  return row ?? null;
}

export function datasetJson(row: typeof dataset.$inferSelect): Dataset {
  const { id, name, policy, seed, sha256, counts } = row;
  return {
    ...{ id, project: row.projectId, name, policy, seed, sha256, counts },
    // Kept as a 32-bit float; the decimal that was asked for comes back.
    eval_fraction: Number(row.evalFraction.toPrecision(6)),
    created_by: row.createdBy,
    created_at: row.createdAt.toISOString()
  };
}

/** The tasks that a dataset's pairs come from. */
export async function tasksIn(db: Queryable, datasetId: string): Promise<string[]> {
  const rows = await db
    .selectDistinct({ task: sql<string>`${datasetRow.line}::json->>'task_id'` })
    .from(datasetRow)
    .where(eq(datasetRow.datasetId, datasetId));
  return rows.map(({ task }) => task);
}

/** The frozen lines in order, some at a time, without their newlines. */
export async function* eachLine(
  db: Queryable,
  datasetId: string,
  split?: Split
): AsyncGenerator<{ seq: number; split: Split; line: string }[]> {
  for (let last = 0; ;) {
    const rows = await db
      .select({ seq: datasetRow.seq, split: datasetRow.split, line: datasetRow.line })
      .from(datasetRow)
      .where(
        and(
          eq(datasetRow.datasetId, datasetId),
          gt(datasetRow.seq, last),
          split ? eq(datasetRow.split, split) : undefined
        )
      )
      .orderBy(asc(datasetRow.seq))
      .limit(1_000);
    if (!rows.length) return;
    yield rows;
    last = rows.at(-1)!.seq;
  }
}

/** The frozen rows in order, as TRL pairs. */
export async function* readRows(db: Queryable, datasetId: string, split?: Split): AsyncGenerator<DatasetRow> {
  for await (const rows of eachLine(db, datasetId, split))
    for (const { seq, split: part, line } of rows)
      yield { seq, split: part, row: JSON.parse(line) as TrlPair };
}
