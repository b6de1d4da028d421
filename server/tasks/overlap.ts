import { sql, type SQL } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { leadBackToFull } from './places.ts';
import { oneAtATime } from './queue.ts';

const lockOf = (projectId: SQL | string) => sql`hashtext('overlap/' || (${projectId})::text)`;

/**
 * Until the transaction ends, the project's overlap stays as it reads from the next statement on. Whoever counts by it or reveals by it
 * calls this before they lock a task. An advisory lock: share locks of its row could keep an owner waiting for ever.
 */
export const holdOverlap = (tx: Queryable, projectId: SQL | string) =>
  tx.execute(sql`select pg_advisory_xact_lock_shared(${lockOf(projectId)})`);

/**
 * After the overlap of a project, whose row is locked, was changed: it is that of the open tasks which have none of their own. Refused
 * where it would reveal some of them.
 */
export async function moveOverlap(
  tx: Queryable,
  projectId: string,
  before: number,
  after: number
): Promise<void> {
  await oneAtATime(tx, { projectId });
  await tx.execute(sql`select pg_advisory_xact_lock(${lockOf(projectId)})`);
  if (after < before) await checkNoneReached(tx, projectId, after);
  // The tasks that are open and for everybody are those without an overlap of their own. Whoever locks several of these rows holds the overlap.
  await tx.execute(sql`
    update task_tally set wanted = wanted + ${after - before}::int * (total - revealed)
    where project_id = ${projectId} and not assigned`);
  if (after > before) await leadBackToFull(tx, projectId);
}

/** By leases alone: a task's own row is as large as its texts. Those for certain people have one that says so. */
async function checkNoneReached(tx: Queryable, projectId: string, overlap: number): Promise<void> {
  const { rows } = await tx.execute<{ tasks: number; most: number }>(sql`
    select count(*)::int as tasks, max(judged.raters)::int as most
    from (select number, count(*) as raters from lease where project_id = ${projectId} and version > 0 and open
      group by number having count(*) >= ${overlap}) judged
    where not exists (select 1 from lease l where l.project_id = ${projectId} and l.assigned and l.number = judged.number)`);
  const { tasks, most } = rows[0]!;
  if (!tasks) return;
  const have = tasks === 1 ? '1 task has' : `${tasks} tasks have`;
  throw new Fault(
    409,
    'overlap_reached',
    `The overlap cannot be ${overlap}: ${have} ${overlap} ${overlap === 1 ? 'ranking' : 'rankings'} or more already and would be revealed. The lowest that reveals none is ${most + 1}.`
  );
}
