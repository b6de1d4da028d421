import { createHash } from 'node:crypto';
import { sql } from 'drizzle-orm';
import type { Person, Remark } from '#wire/remark.ts';
import { appendAudit } from '../audit/index.ts';
import type { Actor } from '../auth/index.ts';
import type { Database, Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { Fault } from '../net/fault.ts';
import { lockTask, type TaskRecord } from '../tasks/index.ts';
import { remark, remarkMention } from './tables.ts';

/** Says something at a table in the caller's own name: there is no other name to say it in. */
export async function addRemark(
  db: Database,
  actor: Actor,
  { id, projectId }: TaskRecord,
  given: { text: string; mentions: string[] },
  atTable: Person[]
): Promise<Remark> {
  const mentions = [...new Set(given.mentions)];
  const stranger = mentions.find((user) => !atTable.some((person) => person.id === user));
  if (stranger !== undefined)
    throw new Fault(422, 'not_at_table', `mentions: ${stranger} may not read this discussion.`);
  return db.transaction(async (tx) => {
    await lockTask(tx, id);
    const number = (await lastNumber(tx, id)) + 1;
    if (number > limits.panels.remarks_per_task_max)
      throw new Fault(
        409,
        'discussion_full',
        `A discussion holds ${limits.panels.remarks_per_task_max} remarks; put what matters into the notes.`
      );
    const [row] = await tx
      .insert(remark)
      .values({ taskId: id, number, userId: actor.id, text: given.text, sentAt: sql`clock_timestamp()` })
      .returning({ sentAt: remark.sentAt });
    if (mentions.length)
      await tx.insert(remarkMention).values(mentions.map((userId) => ({ taskId: id, number, userId })));
    const sha256 = createHash('sha256').update(given.text).digest('hex');
    await appendAudit(tx, { actor, action: 'remark.send', object: id, projectId, facts: { number, sha256 } });
    const author = { id: actor.id, name: actor.name };
    return { task: id, number, author, text: given.text, mentions, sent_at: row!.sentAt.toISOString() };
  });
}

async function lastNumber(db: Queryable, taskId: string): Promise<number> {
  const found = await db.execute<{ last: number }>(
    sql`select coalesce(max(number), 0)::int as last from remark where task_id = ${taskId}`
  );
  return found.rows[0]!.last;
}

/** A discussion from the remark after `after`, in order. */
export async function remarksOf(
  db: Queryable,
  taskId: string,
  after: number,
  limit: number
): Promise<Remark[]> {
  const found = await db.execute<Omit<Remark, 'sent_at'> & { sent_at: Date }>(sql`
    select r.task_id as task, r.number, json_build_object('id', u.id, 'name', u.name) as author, r.text, r.sent_at,
      (select coalesce(json_agg(m.user_id order by m.user_id), '[]'::json) from remark_mention m
        where m.task_id = r.task_id and m.number = r.number) as mentions
    from remark r join "user" u on u.id = r.user_id
    where r.task_id = ${taskId} and r.number > ${after} order by r.number limit ${limit}`);
  return found.rows.map((row) => ({ ...row, sent_at: new Date(row.sent_at).toISOString() }));
}

/** How far this person has read; 0 where nothing. */
export async function readOf(db: Queryable, taskId: string, userId: string): Promise<number> {
  const found = await db.execute<{ number: number }>(
    sql`select number from remark_read where task_id = ${taskId} and user_id = ${userId}`
  );
  return found.rows[0]?.number ?? 0;
}

/** Notes that this person has read up to a remark; never back, and never beyond what was said. */
export async function markRead(db: Queryable, taskId: string, userId: string, number: number): Promise<void> {
  await db.execute(sql`insert into remark_read (task_id, user_id, number)
    select ${taskId}, ${userId}, least(${number}::int, coalesce(max(number), 0)) from remark where task_id = ${taskId}
    on conflict (task_id, user_id) do update set number = greatest(remark_read.number, excluded.number)`);
}
