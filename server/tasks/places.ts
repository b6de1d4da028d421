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
