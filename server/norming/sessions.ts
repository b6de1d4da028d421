import { and, eq, inArray, ne, sql } from 'drizzle-orm';
import type { BeginNorming } from '#wire/norming.ts';
import type { z } from 'zod';
import { appendAudit } from '../audit/index.ts';
import { checkJudges, type Actor } from '../auth/index.ts';
import { newId, type Database, type Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { Fault, notFound } from '../net/fault.ts';
import type { Call } from '../net/route.ts';
import { judgementsOf } from '../rankings/index.ts';
import { anyUnrevealed, findTasks, givePanel } from '../tasks/index.ts';
import { agreementOf, isAny, isFirst, type Counts } from './agreement.ts';
import { normingMember, normingSession, normingTask } from './tables.ts';

export type SessionRow = typeof normingSession.$inferSelect;

type Begin = z.output<typeof BeginNorming>;

/** Begins a session: its tasks are the panel's from now on, and come to its members first. */
export async function begin(
  db: Database,
  { actor, project }: Pick<Call, 'actor' | 'project'>,
  given: Begin
): Promise<string> {
  if (project.mode !== 'blind')
    throw new Fault(409, 'not_blind', 'A panel votes blind first; this project is an open one.');
  const members = [...new Set(given.members)];
  const tasks = typeof given.tasks === 'number' ? given.tasks : [...new Set(given.tasks)];
  const { members_min, members_max, tasks_max } = limits.norming;
  if (members.length < members_min || members.length > members_max)
    throw new Fault(422, 'invalid', `members: a panel has ${members_min} to ${members_max} people.`);
  const count = typeof tasks === 'number' ? tasks : tasks.length;
  if (count < 1 || count > tasks_max)
    throw new Fault(422, 'invalid', `tasks: a session has 1 to ${tasks_max} tasks.`);
  return db.transaction(async (tx) => {
    await checkJudges(tx, project.id, members, 'members');
    const ids = await givePanel(tx, project.id, tasks, members);
    const id = newId('norming');
    const values = { id, projectId: project.id, name: given.name, createdBy: actor.id };
    await tx.insert(normingSession).values({ ...values, status: 'voting' });
    await tx.insert(normingMember).values(members.map((userId) => ({ sessionId: id, userId })));
    await tx.insert(normingTask).values(ids.map((taskId) => ({ sessionId: id, taskId })));
    const facts = { members: members.toSorted(), tasks: ids };
    await appendAudit(tx, { actor, action: 'norming.begin', object: id, projectId: project.id, facts });
    return id;
  });
}

export async function isOnPanel(db: Queryable, sessionId: string, userId: string): Promise<boolean> {
  const rows = await db
    .select({ id: normingMember.userId })
    .from(normingMember)
    .where(and(eq(normingMember.sessionId, sessionId), eq(normingMember.userId, userId)));
  return rows.length > 0;
}

/**
 * The session as it stands. The last reveal ends the first vote: whoever looks first after it keeps its agreement, which is the
 * same whoever that is, since a version knows whether it came before the reveal.
 */
export async function settled(db: Database, id: string): Promise<SessionRow> {
  const [found] = await db.select().from(normingSession).where(eq(normingSession.id, id));
  if (!found) throw notFound('norming');
  if (found.status !== 'voting' || (await anyUnrevealed(db, await tasksOf(db, id)))) return found;
  return db.transaction(async (tx) => {
    const row = await lock(tx, id);
    if (row.status !== 'voting') return row;
    const first = await measure(tx, id, isFirst);
    const [now] = await tx
      .update(normingSession)
      .set({ status: 'discussing', first })
      .where(eq(normingSession.id, id))
      .returning();
    return now!;
  });
}

/** Ends a session: the agreement of what stands now is its second. */
export async function close(db: Database, actor: Actor, id: string): Promise<void> {
  await settled(db, id);
  await db.transaction(async (tx) => {
    const row = await lock(tx, id);
    if (row.status === 'voting')
      throw new Fault(
        409,
        'still_voting',
        'The first vote goes on; close the session when its tasks are revealed.'
      );
    if (row.status === 'done') throw new Fault(409, 'closed', 'This session is closed already.');
    const second = await measure(tx, id, isAny);
    await tx
      .update(normingSession)
      .set({ status: 'done', second, closedAt: sql`clock_timestamp()` })
      .where(eq(normingSession.id, id));
    const facts = { alpha_before: row.first?.alpha.value ?? null, alpha_after: second.alpha.value };
    await appendAudit(tx, { actor, action: 'norming.close', object: id, projectId: row.projectId, facts });
  });
}

async function lock(tx: Queryable, id: string): Promise<SessionRow> {
  const [row] = await tx.select().from(normingSession).where(eq(normingSession.id, id)).for('update');
  return row!;
}

/** Which of these tasks a session works on that has not ended. */
export async function underSession(db: Queryable, taskIds: string[]): Promise<Set<string>> {
  const rows = await db
    .select({ id: normingTask.taskId })
    .from(normingTask)
    .innerJoin(normingSession, eq(normingSession.id, normingTask.sessionId))
    .where(and(inArray(normingTask.taskId, taskIds), ne(normingSession.status, 'done')));
  return new Set(rows.map(({ id }) => id));
}

export async function tasksOf(db: Queryable, sessionId: string): Promise<string[]> {
  const rows = await db
    .select({ id: normingTask.taskId })
    .from(normingTask)
    .where(eq(normingTask.sessionId, sessionId));
  return rows.map(({ id }) => id);
}

async function measure(tx: Queryable, id: string, counts: Counts): Promise<NonNullable<SessionRow['first']>> {
  const ids = await tasksOf(tx, id);
  const members = await tx
    .select({ id: normingMember.userId })
    .from(normingMember)
    .where(eq(normingMember.sessionId, id));
  const [tasks, judgements] = [await findTasks(tx, ids), await judgementsOf(tx, ids)];
  return agreementOf(
    tasks,
    judgements,
    members.map((one) => one.id),
    counts
  );
}
