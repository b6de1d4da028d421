import { inArray, sql } from 'drizzle-orm';
import type { AssignedTasks } from '#wire/assigning.ts';
import type { Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { assignLeases } from './leases.ts';
import { leadBack } from './places.ts';
import { holdOverlap } from './overlap.ts';
import { oneAtATime } from './queue.ts';
import { task } from './tables.ts';
import { recount, replaceCounts } from './tally.ts';

/** Ids, or numbers from the first to the last. */
export type Selection = readonly string[] | { from: number; to: number };

/** `overlap`: rankings that reveal a task; default: one by each of the people, and by whoever judged it before. */
export type Recipient =
  { people: readonly string[]; overlap?: number | undefined } | { specialty: string | null };

interface Candidate extends Record<string, unknown> {
  id: string;
  number: number;
  status: string;
  assigned: boolean;
  overlap: number;
  judges: string[];
  /** Somebody else holds it now. */
  held: boolean;
}

/**
 * Gives tasks to certain people alone, to whoever has a specialty, or to everybody; those that cannot be given stay as they are. Who
 * judged one keeps that, and is one of its people from then on. `reserved` says which of them belong to somebody's session.
 */
export async function giveTasks(
  tx: Queryable,
  projectId: string,
  wanted: Selection,
  to: Recipient,
  reserved: (tx: Queryable, ids: string[]) => Promise<Set<string>>
): Promise<{ ids: string[]; refused: AssignedTasks['refused'] }> {
  await oneAtATime(tx, { projectId });
  await holdOverlap(tx, projectId);
  const found = await candidates(tx, projectId, wanted, 'people' in to ? to.people : []);
  const sessions = await reserved(
    tx,
    found.map(({ id }) => id)
  );
  const refused = found.flatMap((one) => refusalOf(one, to, sessions.has(one.id)) ?? []);
  const ids = found.map(({ id }) => id).filter((id) => !refused.some((one) => one.task === id));
  if (ids.length) {
    const before = await recount(tx, projectId, ids);
    if ('people' in to) await toPeople(tx, ids, to);
    else await toSpecialty(tx, ids, to.specialty);
    await replaceCounts(tx, projectId, before, await recount(tx, projectId, ids));
    const first = found.find(({ id }) => id === ids[0])!.number;
    if ('specialty' in to) await leadBack(tx, projectId, first, to.specialty);
  }
  return { ids, refused };
}

/** Of a project, locked, by number. */
async function candidates(
  tx: Queryable,
  projectId: string,
  wanted: Selection,
  people: readonly string[]
): Promise<Candidate[]> {
  const which =
    'from' in wanted
      ? sql`t.number between ${wanted.from} and ${wanted.to}`
      : sql`t.id = any(${sql.param(wanted)}::text[])`;
  const { rows } = await tx.execute<Candidate>(sql`
    select t.id, t.number, t.status, t.assigned, p.overlap,
      array(select l.user_id from lease l where l.task_id = t.id and l.version > 0) as judges,
      exists (select 1 from lease l where l.task_id = t.id and l.version = 0 and not l.skipped and l.expires_at > now()
        and l.user_id <> all(${sql.param(people)}::text[])) as held
    from task t join project p on p.id = t.project_id where t.project_id = ${projectId} and ${which}
    order by t.number for update of t`);
  const missing = 'from' in wanted ? Number(!rows.length) : wanted.length - rows.length;
  if (missing)
    throw new Fault(
      422,
      'invalid',
      'from' in wanted
        ? `tasks: there is none from ${wanted.from} to ${wanted.to}.`
        : `tasks: ${missing} of them are no tasks of this project.`
    );
  return rows;
}

function refusalOf(
  { id, number, status, assigned, overlap, judges, held }: Candidate,
  to: Recipient,
  isReserved: boolean
): AssignedTasks['refused'][number] | null {
  const refusal = (code: string, why: string) => ({
    task: id,
    number,
    code,
    detail: `Task ${number} ${why}`
  });
  if (status !== 'open') return refusal('revealed', 'is revealed already.');
  if (isReserved) return refusal('norming', 'is for the panel of a norming session.');
  if ('specialty' in to)
    return assigned && judges.length >= overlap
      ? refusal('overlap_reached', `has the ${overlap} rankings that the project asks for already.`)
      : null;
  // A judgement that is on its way must not be lost; after its time it may still come, and counts.
  if (held) return refusal('handed_out', 'is with somebody else now; give it when they have judged it.');
  const asked = to.overlap ?? new Set([...to.people, ...judges]).size;
  return judges.length >= asked
    ? refusal('overlap_reached', `has ${judges.length} rankings already, and would ask for ${asked}.`)
    : null;
}

async function toPeople(
  tx: Queryable,
  ids: string[],
  { people, overlap }: { people: readonly string[]; overlap?: number | undefined }
): Promise<void> {
  await tx.execute(sql`
    update lease set assigned = version > 0
    where task_id = any(${sql.param(ids)}::text[]) and assigned <> (version > 0)`);
  await assignLeases(tx, ids, people);
  const everyone = sql`(select count(*) from lease l where l.task_id = ${task.id} and l.assigned)`;
  await tx
    .update(task)
    .set({ assigned: true, overlap: overlap ?? everyone })
    .where(inArray(task.id, ids));
}

async function toSpecialty(tx: Queryable, ids: string[], specialty: string | null): Promise<void> {
  await tx.execute(
    sql`update lease set assigned = false where task_id = any(${sql.param(ids)}::text[]) and assigned`
  );
  await tx
    .update(task)
    .set({ specialty, assigned: false, overlap: sql`case when assigned then null else overlap end` })
    .where(inArray(task.id, ids));
}
