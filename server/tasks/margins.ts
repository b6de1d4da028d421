import { and, eq, ne, sql } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { taskMargin } from './tables.ts';
import { findTasks, type TaskRecord } from './task.ts';
import { isValued, selectToValue, type TaskToValue } from './uncertainty.ts';

/** By task; null: it cannot be scored. */
export type Margins = ReadonlyMap<string, number | null>;

const isNotScored = sql`not exists (select 1 from task_margin m where m.task_id = t.id)`;

/**
 * The next tasks to score: those that would be handed out next, the most uncertain first, then by number. None where as many open tasks as may
 * have a margin have one.
 */
export async function tasksToScore(db: Queryable, projectId: string): Promise<TaskRecord[]> {
  const { tasks_scored_max, tasks_at_once } = limits.scoring;
  const kept = await db.$count(taskMargin, eq(taskMargin.projectId, projectId));
  const wanted = Math.min(tasks_at_once, tasks_scored_max - kept);
  if (wanted <= 0) return [];
  // Looked for among so many, in the order of an index: a million tasks are neither joined nor sorted.
  const uncertain = await db.execute<{ id: string }>(sql`
    select t.id from (select task_id, value, number from task_uncertainty where project_id = ${projectId}
        order by value desc, number limit ${limits.tasks.uncertain_looked_at_max}) u
      cross join lateral (select * from task where id = u.task_id offset 0) t
    where ${isValued} and ${isNotScored}
    order by u.value desc, u.number limit ${wanted}`);
  const others = await db.execute<{ id: string }>(sql`
    select t.id from (select t.id, t.number from task t where t.project_id = ${projectId} and ${isValued}
        order by t.number limit ${tasks_scored_max + tasks_at_once}) t
    where ${isNotScored} and not exists (select 1 from task_uncertainty u where u.task_id = t.id)
    order by t.number limit ${wanted - uncertain.rows.length}`);
  return findTasks(
    db,
    [...uncertain.rows, ...others.rows].map(({ id }) => id)
  );
}

/** Keeps the margins of those tasks that still have a value, and answers them, locked. */
export async function keepMargins(
  tx: Queryable,
  projectId: string,
  adapterId: string,
  margins: Margins
): Promise<TaskToValue[]> {
  const tasks = await lockToValue(tx, [...margins.keys()]);
  const found = tasks.map((task) => ({ ...task, margin: margins.get(task.id)! }));
  if (found.length)
    await tx
      .insert(taskMargin)
      .values(found.map(({ id, margin }) => ({ taskId: id, projectId, adapterId, margin })));
  return found;
}

/** Drops some margins that are of another adapter, and answers their tasks, locked, where they have a value; null where there are none left. */
export async function dropMargins(
  tx: Queryable,
  projectId: string,
  adapterId: string
): Promise<TaskToValue[] | null> {
  const stale = await tx
    .select({ id: taskMargin.taskId })
    .from(taskMargin)
    .where(and(eq(taskMargin.projectId, projectId), ne(taskMargin.adapterId, adapterId)))
    .limit(limits.scoring.tasks_at_once);
  if (!stale.length) return null;
  const ids = stale.map(({ id }) => id);
  const tasks = await lockToValue(tx, ids);
  // Those that are being judged at this moment come again.
  await tx.execute(sql`
    delete from task_margin m where m.task_id = any(${sql.param(ids)}::text[])
      and (m.task_id = any(${sql.param(tasks.map(({ id }) => id))}::text[])
        or not exists (select 1 from task t where t.id = m.task_id and ${isValued}))`);
  return tasks.map((task) => ({ ...task, margin: null }));
}

/** Without waiting for one that somebody else has locked: whoever judges it must not wait for all the others, nor these for them. */
async function lockToValue(tx: Queryable, ids: string[]): Promise<TaskToValue[]> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    select t.id from task t where t.id = any(${sql.param(ids)}::text[]) and ${isValued} for update skip locked`);
  const locked = sql.param(rows.map(({ id }) => id));
  return selectToValue(tx, sql`where t.id = any(${locked}::text[])`);
}

/** How many open tasks have a margin of this adapter. */
export async function countScored(db: Queryable, projectId: string, adapterId: string): Promise<number> {
  const ofAdapter = and(eq(taskMargin.projectId, projectId), eq(taskMargin.adapterId, adapterId));
  return db.$count(taskMargin, and(ofAdapter, sql`${taskMargin.margin} is not null`));
}
