import { sql } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';

type Count = 'total' | 'revealed' | 'wanted' | 'ranked' | 'judgements';

/** Counts of the tasks that some members can be handed: for those without `assigned`, whoever has the specialty. */
export interface Tally extends Record<Count, number> {
  specialty: string;
  assigned: boolean;
}

/** Changes the counts that a task is part of; their row is locked until the transaction ends, so this comes late in one. */
export async function count(
  tx: Queryable,
  taskId: string,
  change: Partial<Record<Count, number>>
): Promise<void> {
  const { total = 0, revealed = 0, wanted = 0, ranked = 0, judgements = 0 } = change;
  await tx.execute(sql`
    insert into task_tally as y (project_id, specialty, assigned, total, revealed, wanted, ranked, judgements)
    select project_id, coalesce(specialty, ''), assigned, ${total}::int, ${revealed}::int, ${wanted}::int, ${ranked}::int,
      ${judgements}::int from task where id = ${taskId}
    on conflict (project_id, specialty, assigned) do update set total = y.total + excluded.total,
      revealed = y.revealed + excluded.revealed, wanted = y.wanted + excluded.wanted, ranked = y.ranked + excluded.ranked,
      judgements = y.judgements + excluded.judgements`);
}

/** Counts again what the tally of a project says, or what these of its tasks are in it. */
export async function recount(db: Queryable, projectId: string, ids?: readonly string[]): Promise<Tally[]> {
  const which = ids ? sql`and t.id = any(${sql.param(ids)}::text[])` : sql``;
  const found = await db.execute<Tally & Record<string, unknown>>(sql`
    select coalesce(t.specialty, '') as specialty, t.assigned, count(*)::int as total,
      count(*) filter (where t.status = 'revealed')::int as revealed,
      sum(coalesce(t.overlap, p.overlap))::int as wanted, sum(least(t.raters, coalesce(t.overlap, p.overlap)))::int as ranked,
      sum((select count(*) from (select distinct on (r.kind, r.rater) r.verdict from ranking r where r.task_id = t.id
        order by r.kind, r.rater, r.version desc) last where verdict <> 'withdrawn'))::int as judgements
    from task t join project p on p.id = t.project_id where t.project_id = ${projectId} ${which}
    group by 1, 2 order by 1, 2`);
  return found.rows;
}

/** After tasks have changed, locked, that were counted as `before` and are now to be as `after`. */
export async function replaceCounts(
  tx: Queryable,
  projectId: string,
  before: readonly Tally[],
  after: readonly Tally[]
): Promise<void> {
  const signed = [
    ...before.map((tally) => ({ ...tally, sign: -1 })),
    ...after.map((tally) => ({ ...tally, sign: 1 }))
  ];
  // In one statement and in order, as everybody locks these rows.
  await tx.execute(sql`
    insert into task_tally as y (project_id, specialty, assigned, total, revealed, wanted, ranked, judgements)
    select ${projectId}, specialty, assigned, sum(sign * total), sum(sign * revealed), sum(sign * wanted),
      sum(sign * ranked), sum(sign * judgements)
    from json_to_recordset(${JSON.stringify(signed)}::json) as r(specialty text, assigned boolean, sign int, total int,
      revealed int, wanted int, ranked int, judgements int)
    group by specialty, assigned order by specialty, assigned
    on conflict (project_id, specialty, assigned) do update set total = y.total + excluded.total,
      revealed = y.revealed + excluded.revealed, wanted = y.wanted + excluded.wanted, ranked = y.ranked + excluded.ranked,
      judgements = y.judgements + excluded.judgements`);
}

export async function tallies(db: Queryable, projectId: string): Promise<Tally[]> {
  const found = await db.execute<Tally & Record<string, unknown>>(sql`
    select specialty, assigned, total, revealed, wanted, ranked, judgements from task_tally
    where project_id = ${projectId} order by 1, 2`);
  return found.rows;
}
