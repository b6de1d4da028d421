import { and, eq, sql } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { lease, task } from './tables.ts';

/**
 * The caller's next task, leased to them: the one they hold, else the first by number that still lacks raters when
 * those who hold it are counted, tasks they skipped last; null where nothing is left. `after`: the task that they are
 * still at, which is not the next.
 */
export async function leaseNext(
  tx: Queryable,
  projectId: string,
  userId: string,
  overlap: number,
  after: string | null = null
): Promise<string | null> {
  // Two callers at once would both see a place that only one may have.
  await tx.execute(sql`select pg_advisory_xact_lock(hashtext(${'lease/' + projectId}))`);
  const found = await tx.execute<{ id: string }>(sql`
    select t.id from task t
    left join lease mine on mine.task_id = t.id and mine.user_id = ${userId}
    where ${lacksRaters(projectId, userId, overlap)} and t.id is distinct from ${after}
    order by (mine.task_id is not null and not mine.skipped and mine.expires_at > now()) desc,
      coalesce(mine.skipped, false), case when mine.skipped then mine.updated_at end, t.number
    limit 1`);
  const id = found.rows[0]?.id;
  if (!id) return null;
  const expiresAt = leaseEnd();
  await tx
    .insert(lease)
    .values({ taskId: id, userId, expiresAt, seat: freeSeat(id) })
    .onConflictDoUpdate({
      target: [lease.taskId, lease.userId],
      set: {
        ...{ expiresAt, skipped: false, skipReason: null, updatedAt: sql`clock_timestamp()` },
        seat: sql`coalesce(lease.seat, excluded.seat)`
      }
    });
  return id;
}

const leaseEnd = () => sql`now() + make_interval(mins => ${limits.tasks.lease_minutes})`;

/** The first that nobody has who ranked the task or holds it, so that those who judge it read its outputs in different orders. */
const freeSeat = (taskId: string) => sql`(select min(s) from generate_series(0, ${limits.tasks.seats_max}) s
  where not exists (select 1 from lease l where l.task_id = ${taskId} and l.seat = s
    and (l.version > 0 or (not l.skipped and l.expires_at > now()))))`;

/** What this person has been given of this task. */
export async function leaseOf(
  db: Queryable,
  taskId: string,
  userId: string
): Promise<{ version: number; seat: number | null } | null> {
  const [row] = await db
    .select({ version: lease.version, seat: lease.seat })
    .from(lease)
    .where(and(eq(lease.taskId, taskId), eq(lease.userId, userId)));
  return row ?? null;
}

const lacksRaters = (projectId: string, userId: string, overlap: number) => sql`
  t.project_id = ${projectId} and t.status = 'open' and coalesce(mine.version, 0) = 0
    and t.raters + (select count(*) from lease l where l.task_id = t.id and l.user_id <> ${userId}
      and l.version = 0 and not l.skipped and l.expires_at > now()) < ${overlap}`;

/** How many tasks `leaseNext` would hand this person now, one after the other. */
export async function countLeft(
  db: Queryable,
  projectId: string,
  userId: string,
  overlap: number
): Promise<number> {
  const found = await db.execute<{ left: number }>(sql`
    select count(*)::int as left from task t
    left join lease mine on mine.task_id = t.id and mine.user_id = ${userId}
    where ${lacksRaters(projectId, userId, overlap)}`);
  return found.rows[0]!.left;
}

/** Gives back a task that this person was handed and has not judged, as if they never had it. */
export async function giveBack(tx: Queryable, taskId: string, userId: string): Promise<void> {
  const unjudged = and(eq(lease.version, 0), eq(lease.skipped, false));
  await tx.delete(lease).where(and(eq(lease.taskId, taskId), eq(lease.userId, userId), unjudged));
}

/** Gives a task back; it comes to this person again when nothing else is left. */
export async function skip(
  tx: Queryable,
  taskId: string,
  userId: string,
  reason: string | null
): Promise<void> {
  const set = { skipped: true, skipReason: reason, expiresAt: sql`now()`, updatedAt: sql`clock_timestamp()` };
  await tx
    .insert(lease)
    .values({ taskId, userId, ...set })
    .onConflictDoUpdate({ target: [lease.taskId, lease.userId], set });
}

/** Notes that a person's ranking of a task has this version, which makes them one of its raters; the caller holds the task's lock. */
export async function noteRanked(
  tx: Queryable,
  taskId: string,
  userId: string,
  version: number
): Promise<{ isNew: boolean }> {
  const isNew = !(await hasRanked(tx, taskId, userId));
  const set = { version, skipped: false, skipReason: null, updatedAt: sql`clock_timestamp()` };
  await tx
    .insert(lease)
    .values({ taskId, userId, expiresAt: sql`now()`, version })
    .onConflictDoUpdate({ target: [lease.taskId, lease.userId], set });
  if (isNew) await addRaters(tx, taskId, 1);
  return { isNew };
}

/** Takes back that a person has ranked a task, and hands it to them again; the caller holds the task's lock. */
export async function noteWithdrawn(tx: Queryable, taskId: string, userId: string): Promise<void> {
  await tx
    .update(lease)
    .set({ version: 0, expiresAt: leaseEnd(), updatedAt: sql`clock_timestamp()` })
    .where(and(eq(lease.taskId, taskId), eq(lease.userId, userId)));
  await addRaters(tx, taskId, -1);
}

async function addRaters(tx: Queryable, taskId: string, change: 1 | -1): Promise<void> {
  await tx
    .update(task)
    .set({ raters: sql`${task.raters} + ${change}` })
    .where(eq(task.id, taskId));
}

export async function hasRanked(db: Queryable, taskId: string, userId: string): Promise<boolean> {
  return ((await leaseOf(db, taskId, userId))?.version ?? 0) > 0;
}

/** Whether this person judges in the project: has ranked any of its tasks. */
export async function judgesIn(db: Queryable, projectId: string, userId: string): Promise<boolean> {
  const found = await db.execute(sql`
    select 1 from lease l join task t on t.id = l.task_id
    where t.project_id = ${projectId} and l.user_id = ${userId} and l.version > 0 limit 1`);
  return found.rows.length > 0;
}
