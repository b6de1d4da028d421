import { and, eq, inArray, isNotNull, sql } from 'drizzle-orm';
import type { Picked } from '#wire/pair.ts';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { lease, task } from './tables.ts';
import { count } from './tally.ts';
import type { TaskRecord } from './task.ts';

/** Hands a task to a person for a time; one that they have for longer stays theirs for longer. */
export async function takeLease(
  tx: Queryable,
  { id: taskId, picked }: { id: string; picked?: Picked | null },
  userId: string,
  minutes: number = limits.tasks.lease_minutes
): Promise<void> {
  const held = sql`(select expires_at from lease where task_id = ${taskId} and user_id = ${userId} and not skipped)`;
  await put(tx, taskId, userId, {
    ...{ expiresAt: sql`greatest(${leaseEnd(minutes)}, ${held})`, skipped: false, skipReason: null },
    ...(picked === undefined ? {} : { picked }),
    seat: sql`coalesce((select seat from lease where task_id = ${taskId} and user_id = ${userId}), ${freeSeat(taskId)})`
  });
}

type State = Partial<
  Record<'expiresAt' | 'skipped' | 'skipReason' | 'version' | 'rankedAt' | 'seat' | 'picked', unknown>
>;

/** Makes or changes what a person has of a task. */
async function put(tx: Queryable, taskId: string, userId: string, state: State): Promise<void> {
  const values = { expiresAt: sql`now()`, ...state };
  const names = Object.keys(values).map((name) => sql.identifier(lease[name as keyof State].name));
  const list = sql.join(names, sql`, `);
  const given = sql.join(
    Object.values(values).map((value) => sql`${value}`),
    sql`, `
  );
  const changes = Object.keys(state).map((name) => {
    const column = sql.identifier(lease[name as keyof State].name);
    return sql`${column} = excluded.${column}`;
  });
  await tx.execute(sql`
    insert into lease (task_id, user_id, project_id, number, open, ${list})
    select id, ${userId}, project_id, number, status = 'open', ${given} from task where id = ${taskId}
    on conflict (task_id, user_id) do update set updated_at = clock_timestamp(), ${sql.join(changes, sql`, `)}`);
}

const leaseEnd = (minutes: number = limits.tasks.lease_minutes) =>
  sql`now() + make_interval(mins => ${minutes}::int)`;

/** The first that nobody has who ranked the task or holds it, so that those who judge it read its outputs in different orders. */
const freeSeat = (taskId: string) => sql`(select min(s) from generate_series(0, ${limits.tasks.seats_max}) s
  where not exists (select 1 from lease l where l.task_id = ${taskId} and l.seat = s
    and (l.version > 0 or (not l.skipped and l.expires_at > now()))))`;

/** Means each of these tasks for each of these people, who get them before others; they are not handed to them yet. */
export async function assignLeases(
  tx: Queryable,
  taskIds: readonly string[],
  userIds: readonly string[]
): Promise<void> {
  await tx.execute(sql`
    insert into lease (task_id, user_id, project_id, number, open, expires_at, assigned)
    select t.id, of.user_id, t.project_id, t.number, t.status = 'open', now(), true
    from task t, unnest(${sql.param(userIds)}::text[]) of(user_id) where t.id = any(${sql.param(taskIds)}::text[])
    on conflict (task_id, user_id) do update set assigned = true, skipped = false, skip_reason = null,
      updated_at = clock_timestamp()`);
}

/** What this person has been given of this task. */
export async function leaseOf(
  db: Queryable,
  taskId: string,
  userId: string
): Promise<{ version: number; seat: number | null; skipped: boolean; assigned: boolean } | null> {
  const [row] = await db
    .select({
      version: lease.version,
      seat: lease.seat,
      skipped: lease.skipped,
      assigned: lease.assigned
    })
    .from(lease)
    .where(and(eq(lease.taskId, taskId), eq(lease.userId, userId)));
  return row ?? null;
}

/** Why each person was handed each of these tasks: by `<task>/<user>`, without those whose task nobody chose for them. */
export async function pickedOf(db: Queryable, taskIds: string[]): Promise<Map<string, Picked>> {
  const rows = await db
    .select({ taskId: lease.taskId, userId: lease.userId, picked: lease.picked })
    .from(lease)
    .where(and(inArray(lease.taskId, taskIds), isNotNull(lease.picked)));
  return new Map(rows.map(({ taskId, userId, picked }) => [`${taskId}/${userId}`, picked!]));
}

/** Gives back tasks that this person was handed and has not judged; their leases stay, for others to find the tasks by. */
export async function giveBack(tx: Queryable, taskIds: readonly string[], userId: string): Promise<void> {
  const unjudged = and(eq(lease.version, 0), eq(lease.skipped, false));
  await tx
    .update(lease)
    .set({ expiresAt: sql`now()`, seat: null })
    .where(and(inArray(lease.taskId, [...taskIds]), eq(lease.userId, userId), unjudged));
}

/** Gives a task back; it comes to this person again when nothing else is left. */
export async function skip(
  tx: Queryable,
  taskId: string,
  userId: string,
  reason: string | null
): Promise<void> {
  await put(tx, taskId, userId, { skipped: true, skipReason: reason, expiresAt: sql`now()` });
}

/** Takes a skip back: the task comes to this person in its turn. */
export async function unskip(tx: Queryable, taskId: string, userId: string): Promise<void> {
  await tx
    .update(lease)
    .set({ skipped: false, skipReason: null, expiresAt: sql`now()`, updatedAt: sql`clock_timestamp()` })
    .where(and(eq(lease.taskId, taskId), eq(lease.userId, userId), eq(lease.skipped, true)));
}

/** Notes that a person's ranking of a task has this version, which makes them one of its raters; the caller holds the task's lock. */
export async function noteRanked(
  tx: Queryable,
  taskId: string,
  userId: string,
  version: number
): Promise<{ isNew: boolean }> {
  const isNew = !(await hasRanked(tx, taskId, userId));
  const now = isNew ? { rankedAt: sql`clock_timestamp()` } : {};
  await put(tx, taskId, userId, { version, skipped: false, skipReason: null, ...now });
  if (isNew) await addRaters(tx, taskId, 1);
  return { isNew };
}

/** Takes back that a person has ranked a task, and hands it to them again; the caller holds the task's lock. */
export async function noteWithdrawn(tx: Queryable, taskId: string, userId: string): Promise<void> {
  await tx
    .update(lease)
    .set({ version: 0, rankedAt: null, expiresAt: leaseEnd(), updatedAt: sql`clock_timestamp()` })
    .where(and(eq(lease.taskId, taskId), eq(lease.userId, userId)));
  await addRaters(tx, taskId, -1);
}

/** One judgement more than was asked for does not stand for one that another task lacks: it is not counted. */
async function addRaters(tx: Queryable, taskId: string, change: 1 | -1): Promise<void> {
  const [row] = await tx
    .update(task)
    .set({ raters: sql`${task.raters} + ${change}` })
    .where(eq(task.id, taskId))
    .returning({
      raters: task.raters,
      overlap: sql<number>`coalesce(${task.overlap}, (select overlap from project where id = ${task.projectId}))`
    });
  const { raters, overlap } = row!;
  const isAsked = (change > 0 ? raters : raters + 1) <= overlap;
  if (isAsked) await count(tx, taskId, { ranked: change });
}

/**
 * Why a person may not judge a task now; null where they may. Anyone may judge any task that is not for certain others, until its
 * overlap is reached. Those who did may correct themselves, and who was handed it, and has neither given it back nor skipped it,
 * may come late, also where it was given to others meanwhile: a connection that was lost for hours takes no judgement from anybody.
 */
export async function barTo(
  db: Queryable,
  { id, raters, overlap, assigned }: Pick<TaskRecord, 'id' | 'raters' | 'overlap' | 'assigned'>,
  userId: string
): Promise<'for_others' | 'full' | null> {
  const isFull = raters >= overlap;
  if (!assigned && !isFull) return null;
  const mine = await leaseOf(db, id, userId);
  if (mine !== null && (mine.version > 0 || (mine.seat !== null && !mine.skipped))) return null;
  if (assigned && !mine?.assigned) return 'for_others';
  return isFull ? 'full' : null;
}

export async function hasRanked(db: Queryable, taskId: string, userId: string): Promise<boolean> {
  return ((await leaseOf(db, taskId, userId))?.version ?? 0) > 0;
}

/** Whether this person judges in the project: has ranked any of its tasks. */
export async function judgesIn(db: Queryable, projectId: string, userId: string): Promise<boolean> {
  const found = await db.execute(sql`
    select 1 from lease where project_id = ${projectId} and user_id = ${userId} and version > 0 limit 1`);
  return found.rows.length > 0;
}
