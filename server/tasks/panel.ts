import { inArray, sql } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { assignLeases } from './leases.ts';
import { holdOverlap } from './overlap.ts';
import { oneAtATime } from './queue.ts';
import { task } from './tables.ts';
import { count } from './tally.ts';

interface Candidate extends Record<string, unknown> {
  id: string;
  number: number;
  status: string;
  untouched: boolean;
  assigned: boolean;
  overlap: number;
  held: boolean;
}

/** These tasks of a project, locked, by number; or the first so many that a panel could have. */
async function candidates(
  tx: Queryable,
  projectId: string,
  wanted: readonly string[] | number,
  members: readonly string[]
): Promise<Candidate[]> {
  const untouched = sql`t.raters = 0 and not t.judged`;
  // Somebody who was handed it may be judging it, for hours and without a connection; that judgement must not be lost.
  const held = sql`exists (select 1 from lease l where l.task_id = t.id and l.seat is not null and not l.skipped
    and l.user_id <> all(${sql.param(members)}::text[]))`;
  const which =
    typeof wanted === 'number'
      ? sql`t.status = 'open' and not t.assigned and ${untouched} and not ${held} order by t.number limit ${wanted}`
      : sql`t.id = any(${sql.param(wanted)}::text[]) order by t.number`;
  const { rows } = await tx.execute<Candidate>(sql`
    select t.id, t.number, t.status, ${untouched} as untouched, t.assigned, ${held} as held,
      coalesce(t.overlap, p.overlap) as overlap
    from task t join project p on p.id = t.project_id where t.project_id = ${projectId} and ${which} for update of t`);
  return rows;
}

function checkFree(found: readonly Candidate[]): void {
  for (const { number, status, untouched, assigned, held } of found) {
    const fault = (code: string, why: string) => new Fault(409, code, `Task ${number} ${why}`);
    if (status !== 'open') throw fault('revealed', 'is revealed already; choose one that nobody has judged.');
    if (!untouched) throw fault('judged', 'has judgements already; choose one that nobody has judged.');
    if (assigned) throw fault('assigned', 'is given to certain people already; choose another.');
    if (held)
      throw fault(
        'handed_out',
        'was handed to somebody outside the panel, who may be judging it; choose another.'
      );
  }
}

/**
 * Gives tasks that nobody has judged to exactly these members, who get them before all others: each task asks for one ranking by
 * each. Answers the tasks, by number.
 */
export async function givePanel(
  tx: Queryable,
  projectId: string,
  wanted: readonly string[] | number,
  members: readonly string[]
): Promise<string[]> {
  await oneAtATime(tx, { projectId });
  await holdOverlap(tx, projectId);
  const found = await candidates(tx, projectId, wanted, members);
  const missing = (typeof wanted === 'number' ? wanted : wanted.length) - found.length;
  if (missing > 0)
    throw typeof wanted === 'number'
      ? new Fault(
          409,
          'too_few_tasks',
          `${found.length} tasks are open and untouched, ${wanted} were asked for; ask for fewer.`
        )
      : new Fault(422, 'invalid', `tasks: ${missing} of them are no tasks of this project.`);
  checkFree(found);
  const ids = found.map(({ id }) => id);
  await assignLeases(tx, ids, members);
  // Nobody's place hides a task from them that was theirs to judge before.
  await tx.execute(sql`delete from queue_place
    where project_id = ${projectId} and user_id = any(${sql.param(members)}::text[])`);
  // Untouched tasks have nothing else that is counted.
  for (const { id, overlap } of found) await count(tx, id, { total: -1, wanted: -overlap });
  await tx.update(task).set({ overlap: members.length, assigned: true }).where(inArray(task.id, ids));
  for (const id of ids) await count(tx, id, { total: 1, wanted: members.length });
  return ids;
}
