import { and, desc, eq, lt, sql, type SQL } from 'drizzle-orm';
import type { StrengthFit } from '#domain/bradley-terry.ts';
import type { SourcedOutput } from '#domain/uncertainty.ts';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { strengthFit, task } from './tables.ts';

/** What the value of a task depends on, without its texts; `fit` comes with it where one is needed. */
export interface TaskToValue {
  id: string;
  projectId: string;
  number: number;
  raters: number;
  judged: boolean;
  outputs: SourcedOutput[];
  /** By the project's current adapter; null where it has not scored the task. */
  margin: number | null;
}

/** Until the transaction ends, this project's values are written by nobody else than it and submissions. */
export const valueAlone = (tx: Queryable, projectId: string) =>
  tx.execute(sql`select pg_advisory_xact_lock(hashtext(${'value/' + projectId}))`);

export const selectToValue = async (db: Queryable, rest: SQL): Promise<TaskToValue[]> => {
  const { rows } = await db.execute<TaskToValue & Record<string, unknown>>(sql`
    select t.id, t.project_id as "projectId", t.number, t.raters, t.judged,
      (select coalesce(json_agg(json_build_object('id', o.id, 'source', o.source) order by o.position), '[]'::json)
        from output o where o.task_id = t.id) as outputs,
      (select m.margin from task_margin m where m.task_id = t.id) as margin
    from task t ${rest}`);
  return rows;
};

/** Has a value while it is open and for everybody. */
export const isValued = sql`t.status = 'open' and not t.assigned`;

/** A task that has a value in its project, and the fit to find it by; null for all others. */
export async function taskToValue(
  tx: Queryable,
  id: string
): Promise<{ task: TaskToValue; fit: StrengthFit | null } | null> {
  const [task] = await selectToValue(
    tx,
    sql`join project p on p.id = t.project_id where t.id = ${id} and p.task_order = 'uncertainty' and ${isValued}`
  );
  return task ? { task, fit: (await fitOf(tx, task.projectId))?.fit ?? null } : null;
}

/** The next so many tasks that have a value, by number. */
export const tasksToValue = (db: Queryable, projectId: string, after: number, limit: number) =>
  selectToValue(
    db,
    sql`where t.project_id = ${projectId} and ${isValued} and t.number > ${after} order by t.number limit ${limit}`
  );

/** The judged tasks before a number, the highest first. */
export async function judgedTasks(
  db: Queryable,
  projectId: string,
  before: number,
  limit: number
): Promise<TaskToValue[]> {
  const numbers = await db
    .select({ number: task.number })
    .from(task)
    .where(and(eq(task.projectId, projectId), lt(task.number, before), sql`${task.judged}`))
    .orderBy(desc(task.number))
    .limit(limit);
  const wanted = sql.param(numbers.map(({ number }) => number));
  return selectToValue(
    db,
    sql`where t.project_id = ${projectId} and t.number = any(${wanted}::int[]) order by t.number desc`
  );
}

/**
 * Keeps the values of tasks with numbers after `after` up to `last`; whatever is not among them has none. A task that got a rater since it was
 * read is left as it is: that rater's submission has valued it.
 */
export async function keepUncertainties(
  tx: Queryable,
  projectId: string,
  after: number,
  last: number,
  values: readonly { id: string; raters: number; value: number | null }[]
): Promise<void> {
  const known = JSON.stringify(values.filter(({ value }) => value !== null));
  await tx.execute(sql`
    insert into task_uncertainty as u (task_id, project_id, number, value)
    select t.id, t.project_id, t.number, r.value
    from json_to_recordset(${known}::json) as r(id text, raters int, value float8)
      join task t on t.id = r.id and t.raters = r.raters and ${isValued}
    on conflict (task_id) do update set value = excluded.value where u.value <> excluded.value`);
  await tx.execute(sql`
    delete from task_uncertainty u where u.project_id = ${projectId} and u.number > ${after} and u.number <= ${last}
      and not exists (select 1 from json_to_recordset(${known}::json) as r(id text) where r.id = u.task_id)`);
}

export async function fitOf(
  db: Queryable,
  projectId: string
): Promise<{ fit: StrengthFit; scoredTo: number } | null> {
  const [row] = await db
    .select({ fit: strengthFit.fit, scoredTo: strengthFit.scoredTo })
    .from(strengthFit)
    .where(eq(strengthFit.projectId, projectId));
  return row ?? null;
}

/** With a new fit no task has its value by it yet. */
export async function keepFit(
  db: Queryable,
  projectId: string,
  fit: StrengthFit,
  judgements: number
): Promise<void> {
  const values = { fit, judgements, scoredTo: 0 };
  await db
    .insert(strengthFit)
    .values({ projectId, ...values })
    .onConflictDoUpdate({ target: strengthFit.projectId, set: values });
}

/** The highest number of a task in the project. */
export async function lastNumber(db: Queryable, projectId: string): Promise<number> {
  const { rows } = await db.execute<{ last: number }>(
    sql`select coalesce(max(number), 0)::int as last from task where project_id = ${projectId}`
  );
  return rows[0]!.last;
}

export async function noteValuedTo(db: Queryable, projectId: string, number: number): Promise<void> {
  await db.update(strengthFit).set({ scoredTo: number }).where(eq(strengthFit.projectId, projectId));
}

/** Where tasks come by number again judgements value nothing, so that a fit must not pass for a recent one later. */
export async function forgetFits(db: Queryable): Promise<void> {
  await db.execute(sql`
    delete from strength_fit f using project p where p.id = f.project_id and p.task_order <> 'uncertainty'`);
}

export interface Due {
  projectId: string;
  /** That stand in the project. */
  judgements: number;
  /** Its sources are to be fitted anew; else tasks are to be valued that are not yet. */
  isFitDue: boolean;
}

/** Projects that hand out the most uncertain first whose values are behind. */
export async function dueProjects(db: Queryable): Promise<Due[]> {
  const { new_judgements_min, new_judgements_share } = limits.priority;
  const { rows } = await db.execute<Due & Record<string, unknown>>(sql`
    select * from (
      select p.id as "projectId", y.judgements, f.scored_to < y.last as behind,
        f.project_id is null or y.judgements >= f.judgements + greatest(${new_judgements_min}::float8,
          ${new_judgements_share}::float8 * f.judgements) as "isFitDue"
      from project p left join strength_fit f on f.project_id = p.id, lateral (
        select (select coalesce(sum(judgements), 0)::int from task_tally where project_id = p.id) as judgements,
          (select coalesce(max(number), 0) from task where project_id = p.id) as last) y
      where p.task_order = 'uncertainty') due
    where behind or "isFitDue"`);
  return rows;
}
