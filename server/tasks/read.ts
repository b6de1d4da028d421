import { sql, type SQL } from 'drizzle-orm';
import type { z } from 'zod';
import type { List } from '#wire/list.ts';
import type { Role } from '#wire/project.ts';
import type { Message, Task, TaskQuery, TaskStatus } from '#wire/task.ts';
import { letterOrder } from '#domain/shown-order.ts';
import { can } from '../auth/index.ts';
import type { Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { numbersWith } from './search.ts';
import { shownTo } from './shown.ts';

interface Row extends Record<string, unknown> {
  id: string;
  project_id: string;
  number: number;
  prompt: Message[];
  metadata: Record<string, unknown> | null;
  status: TaskStatus;
  raters: number;
  overlap: number;
  specialty: string | null;
  people: string[] | null;
  my_version: number;
  seat: number | null;
  mode: 'blind' | 'open';
  outputs: { id: string; text: string; source: string | null }[];
}

export interface Reader {
  userId: string;
  role: Role;
  /** A browser session reads outputs by their letters, and in a blind project in an order of its own; a token as imported. */
  inBrowser: boolean;
}

/** A page of tasks by number; the cursor is the last number seen, so that pages stay whole while tasks arrive. */
export async function listTasks(
  db: Queryable,
  projectId: string,
  query: z.infer<typeof TaskQuery>,
  reader: Reader
): Promise<List<Task>> {
  const after = afterOf(query.cursor);
  const where = filterOf(projectId, query, reader);
  const most = query.limit + 1;
  const numbers = query.q
    ? await numbersWith(db, query.q, { projectId, after, limit: most, where })
    : await firstNumbers(db, sql`t.project_id = ${projectId} and t.number > ${after} and ${where}`, most);
  const rows = await select(
    db,
    sql`t.project_id = ${projectId} and t.number = any(${sql.param(numbers)}::int[])`,
    reader.userId
  );
  const page = rows.slice(0, query.limit);
  return {
    items: page.map((row) => taskJson(row, reader)),
    next_cursor: rows.length > query.limit ? String(page.at(-1)!.number) : null
  };
}

export async function readTask(db: Queryable, id: string, reader: Reader): Promise<Task | null> {
  const [row] = await select(db, sql`t.id = ${id}`, reader.userId);
  return row ? taskJson(row, reader) : null;
}

function filterOf(
  projectId: string,
  { status, mine, specialty, person }: z.infer<typeof TaskQuery>,
  { userId, role }: Reader
): SQL {
  if (person !== undefined && person !== userId && role === 'reviewer')
    throw new Fault(403, 'not_allowed', 'person: reviewers see what is given to themselves only.');
  const done = sql`exists (select 1 from lease l where l.project_id = ${projectId} and l.user_id = ${userId}
    and l.version > 0 and l.number = t.number)`;
  return sql.join(
    [
      status ? sql`t.status = ${status}` : sql`true`,
      ...(mine ? [mine === 'done' ? done : sql`not ${done}`] : []),
      ...(specialty === undefined ? [] : [sql`t.specialty = ${specialty}`]),
      ...(person === undefined
        ? []
        : [
            sql`t.assigned and t.number in (select l.number from lease l where l.project_id = ${projectId}
              and l.user_id = ${person} and l.assigned)`
          ])
    ],
    sql` and `
  );
}

async function firstNumbers(db: Queryable, where: SQL, limit: number): Promise<number[]> {
  const found = await db.execute<{ number: number }>(
    sql`select t.number from task t where ${where} order by t.number limit ${limit}`
  );
  return found.rows.map(({ number }) => number);
}

async function select(db: Queryable, where: SQL, userId: string): Promise<Row[]> {
  const found = await db.execute<Row>(sql`
    select t.id, t.project_id, t.number, t.prompt, t.metadata, t.status, t.raters, coalesce(t.overlap, p.overlap) as overlap,
      t.specialty, case when t.assigned then array(select l.user_id from lease l where l.task_id = t.id and l.assigned order by 1) end as people,
      coalesce(mine.version, 0) as my_version, mine.seat, p.mode,
      (select coalesce(json_agg(json_build_object('id', o.id, 'text', o.text, 'source', o.source)
        order by o.position), '[]'::json) from output o where o.task_id = t.id) as outputs
    from task t join project p on p.id = t.project_id left join lease mine on mine.task_id = t.id and mine.user_id = ${userId}
    where ${where} order by t.number`);
  return found.rows;
}

function afterOf(cursor: string | undefined): number {
  const after = Number(cursor ?? 0);
  if (!Number.isSafeInteger(after) || after < 0 || after > 2_147_483_647)
    throw new Fault(422, 'invalid', 'cursor: take next_cursor of the page before.');
  return after;
}

function taskJson(row: Row, { userId, role, inBrowser }: Reader): Task {
  // Where an output comes from tells a reviewer which model to favour.
  const blind = role === 'reviewer' && row.status !== 'revealed';
  const outputs = inBrowser ? letterOrder(row.outputs) : row.outputs;
  const judging = inBrowser && row.mode === 'blind' && row.status === 'open' && can(role, 'task.judge');
  return {
    ...{ id: row.id, project: row.project_id, number: row.number, prompt: row.prompt, status: row.status },
    outputs: outputs.map(({ id, text, source }) => ({
      ...{ id, text },
      ...(blind || source === null ? {} : { source })
    })),
    ...(blind ? {} : { metadata: row.metadata }),
    ...(judging ? { shown_order: shownTo(outputs, row, userId, row.seat) } : {}),
    rankings: row.raters,
    overlap: row.overlap,
    specialty: row.specialty,
    people: row.people && role === 'reviewer' ? row.people.filter((id) => id === userId) : row.people,
    my_version: row.my_version
  };
}
