import { sql } from 'drizzle-orm';
import type { List } from '#wire/list.ts';
import type {
  Agreement,
  NormingMember,
  NormingSession,
  NormingShown,
  NormingStatus,
  NormingTask
} from '#wire/norming.ts';
import type { Person } from '#wire/remark.ts';
import { can } from '../auth/index.ts';
import { notFound } from '../net/fault.ts';
import type { Call } from '../net/route.ts';
import { movedMost } from './agreement.ts';
import { settled, type SessionRow } from './sessions.ts';

/** Sessions of the project that the caller is on the panel of, or may lead; the latest first. */
export async function listSessions(
  { services: { db }, actor, project }: Call,
  { limit, cursor }: { limit: number; cursor?: string }
): Promise<List<NormingShown>> {
  const mine = can(project.role, 'norming.lead')
    ? sql`true`
    : sql`exists (select 1 from norming_member m where m.session_id = s.id and m.user_id = ${actor.id})`;
  const before = cursor
    ? sql`(s.created_at, s.id) < (select created_at, id from norming_session where id = ${cursor})`
    : sql`true`;
  const { rows } = await db.execute<Record<string, unknown> & NormingShown & { open: number }>(sql`
    select s.id, s.name, s.status, s.created_at,
      (select count(*)::int from norming_member m where m.session_id = s.id) as members,
      (select count(*)::int from norming_task n where n.session_id = s.id) as tasks,
      (select count(*)::int from norming_task n join task t on t.id = n.task_id
        where n.session_id = s.id and t.revealed_at is null) as open,
      (select count(*)::int from norming_task n join norming_member m on m.session_id = n.session_id
        join lease l on l.task_id = n.task_id and l.user_id = m.user_id and l.version > 0
        where n.session_id = s.id) as votes
    from norming_session s where s.project_id = ${project.id} and ${mine} and ${before}
    order by s.created_at desc, s.id desc limit ${limit + 1}`);
  const items = rows.slice(0, limit).map(({ open, status, created_at, ...row }) => ({
    ...row,
    // As `settled` would say.
    status: (status === 'voting' && open === 0 ? 'discussing' : status) as NormingStatus,
    created_at: new Date(created_at).toISOString()
  }));
  return { items, next_cursor: rows.length > limit ? items.at(-1)!.id : null };
}

/** One session for this caller. Of votes it says how many there are; of agreement only where others' judgements may be seen. */
export async function readSession(call: Call, id: string): Promise<NormingSession> {
  const { db } = call.services;
  const row = await settled(db, id);
  const [people, tasks] = [await membersOf(call, id), await taskRows(call, id)];
  const [creator] = (
    await db.execute<Person & Record<string, unknown>>(
      sql`select id, name from "user" where id = ${row.createdBy}`
    )
  ).rows;
  if (!creator) throw notFound('norming');
  const shown = tasks.map((task) => taskJson(call, row, task));
  const all = tasks.every((task) => sees(call, row, task));
  return {
    ...{ id, project: row.projectId, name: row.name, status: row.status, created_by: creator },
    created_at: row.createdAt.toISOString(),
    closed_at: row.closedAt?.toISOString() ?? null,
    members: people,
    tasks: shown,
    first: all && row.first ? whole(row.first) : null,
    second: row.second ? whole(row.second) : null,
    moved_most: row.first && row.second ? movedMost(row.first, row.second) : null
  };
}

const whole = ({ tasks, rankings, alpha, w, tau }: Agreement) => ({ tasks, rankings, alpha, w, tau });

type TaskRow = Omit<NormingTask, 'before' | 'after'>;

/** Who has not judged a task yet may still do so late, and blind: until the session is closed they see no figure of it. */
const sees = ({ project }: Call, { status }: SessionRow, { revealed, my_version }: TaskRow) =>
  revealed && (status === 'done' || project.role !== 'reviewer' || my_version > 0);

function taskJson(call: Call, row: SessionRow, task: TaskRow): NormingTask {
  const seen = sees(call, row, task);
  return {
    ...task,
    before: (seen && row.first?.by_task[task.id]) || null,
    after: (seen && row.second?.by_task[task.id]) || null
  };
}

async function membersOf({ services: { db } }: Call, id: string): Promise<NormingMember[]> {
  const { rows } = await db.execute<NormingMember & Record<string, unknown>>(sql`
    select u.id, u.name,
      (select count(*)::int from norming_task n join lease l on l.task_id = n.task_id and l.user_id = u.id
        and l.version > 0 where n.session_id = ${id}) as voted,
      (select count(distinct r.task_id)::int from norming_task n join ranking r on r.task_id = n.task_id
        and r.user_id = u.id and r.kind = 'review' and r.after_reveal where n.session_id = ${id}) as again
    from norming_member m join "user" u on u.id = m.user_id where m.session_id = ${id} order by u.name, u.id`);
  return rows.map(({ id, name, voted, again }) => ({ id, name, voted, again }));
}

async function taskRows({ services: { db }, actor }: Call, id: string): Promise<TaskRow[]> {
  const { rows } = await db.execute<TaskRow & Record<string, unknown>>(sql`
    select t.id, t.number, left(coalesce(t.prompt->-1->>'content', ''), 200) as begin,
      t.revealed_at is not null as revealed, t.raters as rankings, coalesce(l.version, 0) as my_version
    from norming_task n join task t on t.id = n.task_id left join lease l on l.task_id = t.id and l.user_id = ${actor.id}
    where n.session_id = ${id} order by t.number`);
  return rows.map(({ id, number, begin, revealed, rankings, my_version }) => ({
    ...{ id, number, begin, revealed, rankings, my_version }
  }));
}
