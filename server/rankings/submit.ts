import { createHash } from 'node:crypto';
import { canonicalJson } from '#domain/canonical.ts';
import { faultInTiers, ranksFromTiers, tiersFromRanks } from '#domain/tiers.ts';
import type { Ratings, SubmitRanking, Tiers } from '#wire/ranking.ts';
import { appendAudit } from '../audit/index.ts';
import { projectById, type Actor } from '../auth/index.ts';
import type { Database, Queryable } from '../db/index.ts';
import { Fault, notFound } from '../net/fault.ts';
import {
  barTo,
  findTask,
  lockTask,
  noteRanked,
  orderShown,
  revealTask,
  type TaskRecord
} from '../tasks/index.ts';
import type { Tell } from './announce.ts';
import { checkRatings } from './ratings.ts';
import { checkSpans, quoted } from './spans.ts';
import { addVersion, type RankingRow } from './versions.ts';

/** What this room needs of the live rooms. */
export interface BallotRooms {
  /** Applies the change to the person's ballot room and runs `then` in the same transaction. */
  editBallot<R>(
    taskId: string,
    userId: string,
    change: { ranks: Record<string, number>; ratings: Ratings; note: string } | null,
    then: (
      tx: Queryable,
      folded: { ranks: Record<string, number>; ratings: Ratings; note: string; seq: number }
    ) => Promise<R>
  ): Promise<R>;
  foldTable(taskId: string): Promise<{ ranks: Record<string, number> }>;
  tell: Tell;
}

export async function taskOrFault(db: Queryable, id: string): Promise<TaskRecord> {
  const task = await findTask(db, id);
  if (!task) throw notFound('task');
  return task;
}

export function checkTiers(task: TaskRecord, tiers: Tiers): void {
  const fault = faultInTiers(
    tiers,
    task.outputs.map(({ id }) => id)
  );
  if (fault) throw new Fault(422, 'invalid', fault);
}

/** Submits a person's judgement through their ballot room: log row, version and audit row in one transaction. */
export async function submit(
  db: Database,
  rooms: BallotRooms,
  actor: Actor,
  taskId: string,
  given: SubmitRanking
): Promise<RankingRow> {
  const task = await taskOrFault(db, taskId);
  const project = (await projectById(db, task.projectId))!;
  checkSubmission(task, given, project.criteria);
  checkSpans(task, given.spans ?? [], project.spanCategories);
  await checkOpen(db, task, actor.id);
  const change = {
    ranks: ranksFromTiers(given.tiers),
    ratings: given.ratings ?? {},
    note: given.comment ?? ''
  };
  return rooms.editBallot(taskId, actor.id, change, async (tx, folded) => {
    const locked = (await lockTask(tx, taskId))!;
    await checkOpen(tx, locked, actor.id);
    const row = await addVersion(tx, {
      ...{ taskId, kind: 'review', userId: actor.id, verdict: given.verdict, roomSeq: folded.seq },
      tiers: tiersFromRanks(folded.ranks),
      reason: given.reason ?? null,
      ratings: folded.ratings,
      edited: given.edited ?? null,
      comment: folded.note || null,
      strength: given.strength ?? null,
      spans: quoted(task, given.spans ?? []),
      shown: await orderShown(tx, task, project.mode, actor, given.shown_order),
      afterReveal: locked.revealedAt !== null
    });
    const { isNew } = await noteRanked(tx, taskId, actor.id, row.version);
    const raters = locked.raters + (isNew ? 1 : 0);
    const revealed = raters >= locked.overlap && (await revealTask(tx, taskId));
    await appendAudit(tx, {
      ...{ actor, action: 'ranking.submit', object: row.id, projectId: task.projectId },
      facts: { task: taskId, version: row.version, room_seq: folded.seq, revealed, sha256: hashOf(row) }
    });
    return row;
  });
}

function checkSubmission(
  task: TaskRecord,
  given: SubmitRanking,
  criteria: Parameters<typeof checkRatings>[1]
): void {
  const outputs = task.outputs.map(({ id }) => id);
  checkTiers(task, given.tiers);
  checkRatings(given.ratings ?? {}, criteria, outputs);
  if (given.verdict === 'ranked' && !given.tiers.length && outputs.length)
    throw new Fault(
      422,
      'nothing_ranked',
      'tiers is empty; rank an output, or give the verdict all_bad or cannot_judge.'
    );
  if (given.edited && !outputs.includes(given.edited.output))
    throw new Fault(422, 'invalid', 'edited.output is not an output of this task.');
  checkStrength(given);
  const spans = (given.spans ?? []).map(({ text }) => text);
  const texts = [given.comment, given.reason, given.edited?.text, ...spans];
  if (texts.some((text) => text && (!text.isWellFormed() || text.includes('\0'))))
    throw new Fault(
      422,
      'bad_character',
      'A text holds a NUL character or half of a surrogate pair; remove it.'
    );
}

/** How much better: said of one that stands alone before the next. */
function checkStrength({ strength, tiers, verdict }: SubmitRanking): void {
  if (strength === undefined || (verdict === 'ranked' && tiers.length > 1 && tiers[0]!.length === 1)) return;
  throw new Fault(
    422,
    'invalid',
    'strength says how much better the first place is than the second; here no output stands alone before another.'
  );
}

async function checkOpen(db: Queryable, task: TaskRecord, userId: string): Promise<void> {
  const bar = await barTo(db, task, userId);
  if (bar === 'for_others')
    throw new Fault(409, 'assigned', 'This task is given to others; take the next one.');
  if (bar === 'full')
    throw new Fault(409, 'overlap_reached', `This task has its ${task.overlap} rankings; take the next one.`);
}

export function hashOf({
  tiers,
  verdict,
  ratings,
  edited,
  comment,
  reason,
  shown,
  strength,
  spans
}: RankingRow): string {
  const content = canonicalJson({
    tiers,
    verdict,
    ratings,
    edited,
    comment,
    reason,
    ...(shown ? { shown } : {}),
    ...(strength ? { strength } : {}),
    ...(spans.length ? { spans } : {})
  });
  return createHash('sha256').update(content).digest('hex');
}
