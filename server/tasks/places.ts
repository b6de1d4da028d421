import { sql } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';
import { oneAtATime } from './queue.ts';

/** Leads a person back to the first task of specialties that they have gained: their place hid those behind it from them. */
export async function passNoMore(
  tx: Queryable,
  projectId: string,
  userId: string,
  gained: readonly string[]
): Promise<void> {
  if (!gained.length) return;
  await oneAtATime(tx, { projectId });
  await tx.execute(sql`
    update queue_place set number = least(number, (select min(first.number) - 1
      from unnest(${sql.param(gained)}::text[]) of(specialty)
      cross join lateral (select t.number from task t where t.project_id = ${projectId} and t.specialty = of.specialty
        and t.status = 'open' order by t.number limit 1) first))
    where project_id = ${projectId} and user_id = ${userId}`);
}

/** Leads those who may be handed a task again, from this number on, back to it; `specialty` null: everybody. */
export async function leadBack(
  tx: Queryable,
  projectId: string,
  number: number,
  specialty: string | null
): Promise<void> {
  const has = sql`exists (select 1 from member m where m.project_id = ${projectId} and m.user_id = queue_place.user_id
    and ${specialty} = any(m.specialties))`;
  await tx.execute(sql`
    update queue_place set number = ${number - 1}::int
    where project_id = ${projectId} and number >= ${number} and ${specialty === null ? sql`true` : has}`);
}

/**
 * Leads people back to tasks that they were led past because those were full, and are no more. Each is with others who have not judged it;
 * once they have, no lease will say that it is free.
 */
export async function leadBackToFull(tx: Queryable, projectId: string): Promise<void> {
  await tx.execute(sql`
    update queue_place q set number = least(q.number, (select l.number - 1 from lease l
      where l.project_id = ${projectId} and l.version = 0 and l.open and not l.assigned and l.number <= q.number
        and l.user_id <> q.user_id and not exists (select 1 from lease mine
          where mine.task_id = l.task_id and mine.user_id = q.user_id and mine.version > 0)
      order by l.number limit 1))
    where project_id = ${projectId}`);
}
