import { and, asc, desc, eq, inArray, sql } from 'drizzle-orm';
import type { StrengthFit } from '#domain/bradley-terry.ts';
import type { Judgement } from '#domain/pairs.ts';
import { uncertaintyOf } from '#domain/uncertainty.ts';
import type {
  EditedOutput,
  QuotedSpan,
  Ranking,
  RankingKind,
  Ratings,
  RecordedVerdict,
  Tiers
} from '#wire/ranking.ts';
import { user } from '../auth/tables.ts';
import { newId, type Queryable } from '../db/index.ts';
import {
  keepUncertainties,
  noteImportedJudgements,
  noteJudgements,
  taskToValue,
  type AddedTask,
  type TaskToValue
} from '../tasks/index.ts';
import type { ImportedVote } from '#domain/imported.ts';
import { ranking } from './tables.ts';

export type RankingRow = typeof ranking.$inferSelect;

export interface NewVersion {
  taskId: string;
  kind: RankingKind;
  userId: string;
  tiers: Tiers;
  verdict: RecordedVerdict;
  reason?: string | null;
  ratings?: Ratings;
  edited?: EditedOutput | null;
  comment?: string | null;
  strength?: number | null;
  spans?: QuotedSpan[];
  shown?: string[] | null;
  undoes?: number | null;
  roomSeq?: number | null;
  afterReveal: boolean;
}

/** Adds the next version of a person's judgement; the caller holds the task's lock, so that numbers have no gap. */
export async function addVersion(tx: Queryable, given: NewVersion): Promise<RankingRow> {
  const [last] = await tx
    .select({ version: ranking.version, verdict: ranking.verdict })
    .from(ranking)
    .where(
      and(eq(ranking.taskId, given.taskId), eq(ranking.kind, given.kind), eq(ranking.rater, given.userId))
    )
    .orderBy(desc(ranking.version))
    .limit(1);
  const [row] = await tx
    .insert(ranking)
    .values({
      ...given,
      id: newId('ranking'),
      rater: given.userId,
      version: (last?.version ?? 0) + 1,
      ratings: given.ratings ?? {},
      submittedAt: sql`clock_timestamp()`
    })
    .returning();
  const stands = (verdict: RecordedVerdict | undefined) =>
    Number(verdict !== undefined && verdict !== 'withdrawn');
  // Before the project's counts are locked: whoever holds those waits for no task's value, and the background that writes values for no counts.
  await valueAnew(tx, given.taskId);
  await noteJudgements(tx, given.taskId, stands(given.verdict) - stands(last?.verdict));
  return row!;
}

/** The task's uncertainty, with the judgement that has just been added. */
async function valueAnew(tx: Queryable, taskId: string): Promise<void> {
  const found = await taskToValue(tx, taskId);
  if (!found) return;
  const { task, fit } = found;
  const values = await valuesOf(tx, [{ ...task, judged: true }], fit);
  await keepUncertainties(tx, task.projectId, task.number - 1, task.number, values);
}

/** How uncertain tasks are by all that is known of them. */
export async function valuesOf(
  db: Queryable,
  tasks: readonly TaskToValue[],
  fit: StrengthFit | null
): Promise<{ id: string; raters: number; value: number | null }[]> {
  const judgements = await judgementsOf(
    db,
    tasks.filter(({ judged }) => judged).map(({ id }) => id)
  );
  return tasks.map(({ id, raters, outputs, margin }) => ({
    ...{ id, raters },
    value: uncertaintyOf(outputs, judgements.get(id) ?? [], fit, margin)
  }));
}

/** Judgements that came with imported rows: rankings by the source that the row names. */
export async function addImportedVotes(
  tx: Queryable,
  tasks: { task: AddedTask; votes: ImportedVote[] }[]
): Promise<void> {
  const rows = tasks.flatMap(({ task, votes }) =>
    votes.map(({ rater, tiers }) => ({
      ...{ id: newId('ranking'), task_id: task.id, rater },
      tiers: tiers.map((tier) => tier.map((place) => task.outputIds[place]!))
    }))
  );
  if (!rows.length) return;
  await tx.execute(sql`insert into ranking (id, task_id, kind, rater, version, tiers, verdict, ratings)
    select id, task_id, 'import', rater, 1, tiers, 'ranked', '{}'::jsonb
    from json_to_recordset(${JSON.stringify(rows)}::json)
      as r(id text, task_id text, rater text, tiers jsonb)`);
  await noteImportedJudgements(
    tx,
    rows.map(({ task_id }) => task_id)
  );
}

/** All versions of a task's judgements with the raters' names, in the order of submission. */
export async function rankingsOf(
  db: Queryable,
  taskId: string
): Promise<{ row: RankingRow; json: Ranking }[]> {
  const rows = await db
    .select({ row: ranking, name: user.name })
    .from(ranking)
    .leftJoin(user, eq(user.id, ranking.userId))
    .where(eq(ranking.taskId, taskId))
    .orderBy(asc(ranking.submittedAt), asc(ranking.id));
  return rows.map(({ row, name }) => ({ row, json: rankingJson(row, name) }));
}

export function rankingJson(row: RankingRow, name: string | null): Ranking {
  const { id, kind, version, tiers, verdict, reason, ratings, edited, comment, strength, spans } = row;
  return {
    ...{
      id,
      task: row.taskId,
      kind,
      version,
      tiers,
      verdict,
      reason,
      ratings,
      edited,
      comment,
      strength,
      spans
    },
    rater: { id: row.userId, name: name ?? row.rater },
    ...{ shown_order: row.shown, undoes: row.undoes },
    after_reveal: row.afterReveal,
    submitted_at: row.submittedAt.toISOString()
  };
}

export interface NamedJudgement extends Judgement {
  raterName: string;
}

/** What pairs are derived from, by task. */
export async function judgementsOf(db: Queryable, taskIds: string[]): Promise<Map<string, NamedJudgement[]>> {
  if (!taskIds.length) return new Map();
  const rows = await db
    .select({ row: ranking, name: user.name })
    .from(ranking)
    .leftJoin(user, eq(user.id, ranking.userId))
    .where(inArray(ranking.taskId, taskIds));
  const judgements = rows.map(({ row, name }) => {
    const { id, taskId, kind, rater, version, tiers, verdict, edited, strength, afterReveal } = row;
    const submittedAt = row.submittedAt.toISOString();
    return {
      ...{ taskId, id, kind, rater, version, tiers, verdict, edited, strength, afterReveal, submittedAt },
      raterName: name ?? rater
    };
  });
  return Map.groupBy(judgements, ({ taskId }) => taskId);
}
