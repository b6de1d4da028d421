import { sql } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';
import { isMine, lacksRaters, leftMine, type Asker } from './queue.ts';
import { tallies, type Tally } from './tally.ts';

/** Where a project's tasks stand, for all and for one person. */
export interface Standing {
  total: number;
  revealed: number;
  wanted: number;
  ranked: number;
  judgements: number;
  /** That the person has ranked. */
  done: number;
  /** That `leaseNext` would hand them now, one after the other. */
  todo: number;
}

/**
 * From the tallies, and from leases, of which there are few beside the tasks. `todo` is at most off by tasks that somebody judged
 * before they were assigned to others, or given another specialty.
 */
export async function standingOf(db: Queryable, asker: Asker): Promise<Standing> {
  const all = await tallies(db, asker.projectId);
  const inLine = all.filter(
    ({ specialty, assigned }) => !assigned && (!specialty || asker.specialties.includes(specialty))
  );
  const mine = await countMine(db, asker);
  const { total, revealed } = countsIn(inLine);
  const waiting = total - revealed - mine.done_open - mine.taken;
  return {
    ...countsIn(all),
    judgements: all.reduce((sum, { judgements }) => sum + judgements, 0),
    done: mine.done,
    todo: Math.max(0, waiting) + mine.assigned
  };
}

type Counts = Pick<Standing, 'total' | 'revealed' | 'wanted' | 'ranked'>;

function countsIn(tallies: readonly Tally[]): Counts {
  const sum = (key: keyof Counts) => tallies.reduce((sum, tally) => sum + tally[key], 0);
  return { total: sum('total'), revealed: sum('revealed'), wanted: sum('wanted'), ranked: sum('ranked') };
}

/** Where all tasks of a project stand, whoever asks. */
export const countsOf = async (db: Queryable, projectId: string): Promise<Counts> =>
  countsIn(await tallies(db, projectId));

async function countMine(db: Queryable, asker: Asker) {
  const { projectId, userId, specialties } = asker;
  const { rows } = await db.execute<{ done: number; done_open: number; assigned: number; taken: number }>(sql`
    select
      (select count(*) from lease where project_id = ${projectId} and user_id = ${userId} and version > 0)::int as done,
      (select count(*) from lease where project_id = ${projectId} and user_id = ${userId} and version > 0 and open
        and not assigned)::int as done_open,
      (select count(*) from lease mine join task t on t.id = mine.task_id where ${isMine(projectId, userId)}
        and mine.assigned and ${lacksRaters(asker)})::int as assigned,
      (select count(distinct t.id) from lease held join task t on t.id = held.task_id ${leftMine(asker)}
        where held.project_id = ${projectId} and held.version = 0 and held.open and not held.assigned
          and not held.skipped and held.expires_at > now() and held.user_id <> ${userId} and not t.assigned
          and (t.specialty is null or t.specialty = any(${sql.param(specialties)}::text[]))
          and coalesce(mine.version, 0) = 0 and not (${lacksRaters(asker)}))::int as taken`);
  return rows[0]!;
}
