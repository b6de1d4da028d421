import { sql, type SQL } from 'drizzle-orm';
import type { List } from '#wire/list.ts';
import type { TableShown, Unread } from '#wire/remark.ts';
import type { Call } from '../net/route.ts';

type Caller = Pick<Call, 'services' | 'actor' | 'project'>;

/** The tables that the caller may sit at, latest task first; the cursor is the last number seen. */
export async function listTables(
  caller: Caller,
  { limit, cursor, unread }: { limit: number; cursor?: string; unread?: 'true' }
): Promise<List<TableShown>> {
  const before = cursor === undefined ? sql`true` : sql`t.number < ${Number(cursor) || 0}`;
  const found = await caller.services.db.execute<Row>(sql`
    select t.id, t.number, left(t.prompt->-1->>'content', 200) as begin, t.raters,
      (select count(*)::int from remark r where r.task_id = t.id) as remarks,
      ${unreadOf(caller)} as unread, ${mentionedIn(caller)} as mentioned
    from task t where ${openTo(caller)} and ${before} and ${unread ? unreadTask(caller) : sql`true`}
    order by t.number desc limit ${limit + 1}`);
  const page = found.rows.slice(0, limit);
  return {
    items: page.map(({ id, number, begin, raters, ...counts }) => ({
      task: { id, number, begin: begin ?? '' },
      rankings: raters,
      ...counts
    })),
    next_cursor: found.rows.length > limit ? String(page.at(-1)!.number) : null
  };
}

interface Row extends Record<string, unknown> {
  id: string;
  number: number;
  begin: string | null;
  raters: number;
  remarks: number;
  unread: number;
  mentioned: boolean;
}

/** Tables with something that the caller has not read, and how many of them mention the caller. */
export async function countUnread(caller: Caller): Promise<Unread> {
  const found = await caller.services.db.execute<Unread & Record<string, unknown>>(sql`
    select count(*)::int as tables, count(*) filter (where ${mentionedIn(caller)})::int as mentions
    from task t where ${openTo(caller)} and ${unreadTask(caller)}`);
  const { tables, mentions } = found.rows[0]!;
  return { tables, mentions };
}

/** `seesTable` for many tasks at once; an open task's table is worth listing once somebody has ranked it. */
function openTo({ actor, project }: Caller): SQL {
  const conditions = [sql`t.project_id = ${project.id}`];
  if (project.mode === 'open')
    conditions.push(sql`(t.raters > 0 or exists (select 1 from remark r where r.task_id = t.id))`);
  else {
    conditions.push(sql`t.status = 'revealed'`);
    if (project.role === 'reviewer')
      conditions.push(
        sql`exists (select 1 from lease l where l.task_id = t.id and l.user_id = ${actor.id} and l.version > 0)`
      );
  }
  return sql.join(conditions, sql` and `);
}

const readBy = ({ actor }: Caller) =>
  sql`coalesce((select d.number from remark_read d where d.task_id = t.id and d.user_id = ${actor.id}), 0)`;
const isNew = (caller: Caller) =>
  sql`r.task_id = t.id and r.user_id <> ${caller.actor.id} and r.number > ${readBy(caller)}`;
const unreadOf = (caller: Caller) => sql`(select count(*)::int from remark r where ${isNew(caller)})`;
const mentionedIn = (caller: Caller) => sql`exists (select 1 from remark r join remark_mention m
  on m.task_id = r.task_id and m.number = r.number and m.user_id = ${caller.actor.id} where ${isNew(caller)})`;

/** Looked up from the remarks: there are few beside the tasks. */
const unreadTask = (
  caller: Caller
) => sql`t.id in (select r.task_id from remark r where r.user_id <> ${caller.actor.id}
  and r.number > coalesce((select d.number from remark_read d where d.task_id = r.task_id and d.user_id = ${caller.actor.id}), 0))`;
