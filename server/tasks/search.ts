import { sql, type SQL } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';

/** So many tasks are read for a word that many have, before the index is asked, which answers well for words that few have. */
const READ_FIRST = 5_000;

/**
 * The numbers of the first `limit` tasks after `after` whose prompt or an output has this text, in any case. Where pg_trgm is
 * missing, or the text is too short for it, the second part reads every task.
 */
export async function numbersWith(
  db: Queryable,
  text: string,
  { projectId, after, limit, where }: { projectId: string; after: number; limit: number; where: SQL }
): Promise<number[]> {
  const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`;
  const numbers = async (query: SQL) =>
    (await db.execute<{ number: number }>(query)).rows.map(({ number }) => number);
  const near = await numbers(sql`
    select t.number from (select * from task where project_id = ${projectId} and number > ${after}
      order by number limit ${READ_FIRST}) t
    where ${where} and (prompt_text(t.prompt) ilike ${pattern}
      or exists (select 1 from output o where o.task_id = t.id and o.text ilike ${pattern}))
    order by t.number limit ${limit}`);
  if (near.length === limit) return near;
  return numbers(sql`
    select number from (
      select t.number from task t where t.project_id = ${projectId} and t.number > ${after} and ${where}
        and prompt_text(t.prompt) ilike ${pattern}
      union
      select t.number from (select distinct task_id from output where text ilike ${pattern} offset 0) o
        join task t on t.id = o.task_id
      where t.project_id = ${projectId} and t.number > ${after} and ${where}
    ) found order by number limit ${limit}`);
}
