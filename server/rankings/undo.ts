import { and, desc, eq, lt, sql } from 'drizzle-orm';
import { appendAudit } from '../audit/index.ts';
import type { Actor } from '../auth/index.ts';
import type { Database, Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { Fault } from '../net/fault.ts';
import { lockTask, noteRanked, noteWithdrawn } from '../tasks/index.ts';
import { hashOf, taskOrFault } from './submit.ts';
import { ranking } from './tables.ts';
import { addVersion, type RankingRow } from './versions.ts';

/**
 * Takes back the caller's last submission: what stood before it stands again, as a new version, or where nothing did the task waits
 * for them once more. Nothing is erased, and the ballot stays as it is, to be submitted again.
 */
export async function undoSubmission(db: Database, actor: Actor, taskId: string): Promise<RankingRow> {
  await taskOrFault(db, taskId);
  return db.transaction(async (tx) => {
    const task = (await lockTask(tx, taskId))!;
    const last = await lastOf(tx, taskId, actor.id);
    if (!last || last.undoes !== null)
      throw new Fault(409, 'nothing_to_undo', 'There is no submission of yours to take back.');
    if (task.revealedAt !== null)
      throw new Fault(409, 'revealed', 'The task is revealed; submit again to correct yourself.');
    if (last.late)
      throw new Fault(
        409,
        'undo_too_late',
        `A submission can be taken back for ${limits.rankings.undo_minutes} minutes; submit again to correct yourself.`
      );
    const before = await lastOf(tx, taskId, actor.id, last.version);
    const row = await addVersion(tx, {
      ...(before?.content ?? { tiers: [], verdict: 'withdrawn' as const, ratings: {} }),
      ...{ taskId, kind: 'review', userId: actor.id, undoes: last.version, afterReveal: false }
    });
    if (row.verdict === 'withdrawn') await noteWithdrawn(tx, taskId, actor.id);
    else await noteRanked(tx, taskId, actor.id, row.version);
    await appendAudit(tx, {
      ...{ actor, action: 'ranking.undo', object: row.id, projectId: task.projectId },
      facts: { task: taskId, version: row.version, undoes: last.version, sha256: hashOf(row) }
    });
    return row;
  });
}

/** A person's last version (before version `before`), and whether it is too old to be taken back. */
async function lastOf(tx: Queryable, taskId: string, userId: string, before?: number) {
  const {
    tiers,
    verdict,
    reason,
    ratings,
    edited,
    comment,
    strength,
    spans,
    shown,
    roomSeq,
    version,
    undoes
  } = ranking;
  const [row] = await tx
    .select({
      content: { tiers, verdict, reason, ratings, edited, comment, strength, spans, shown, roomSeq },
      ...{ version, undoes },
      late: sql<boolean>`${ranking.submittedAt} < clock_timestamp() - make_interval(mins => ${limits.rankings.undo_minutes})`
    })
    .from(ranking)
    .where(
      and(
        ...[eq(ranking.taskId, taskId), eq(ranking.kind, 'review'), eq(ranking.rater, userId)],
        before === undefined ? undefined : lt(ranking.version, before)
      )
    )
    .orderBy(desc(ranking.version))
    .limit(1);
  return row ?? null;
}
