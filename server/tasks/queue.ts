import { and, eq, sql, type SQL } from 'drizzle-orm';
import type { Picked } from '#wire/pair.ts';
import type { TaskOrder } from '#wire/project.ts';
import { member, project } from '../auth/tables.ts';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { takeLease } from './leases.ts';
import { lastNumber } from './uncertainty.ts';

/** Who asks for a task, and where. */
export interface Asker {
  projectId: string;
  userId: string;
  /** Of the project; a task may have its own. */
  overlap: number;
  specialties: readonly string[];
  order: TaskOrder;
  randomShare: number;
}

export async function askerOf(db: Queryable, projectId: string, userId: string): Promise<Asker> {
  const [row] = await db
    .select({
      overlap: project.overlap,
      order: project.taskOrder,
      randomShare: project.randomShare,
      specialties: member.specialties
    })
    .from(project)
    .leftJoin(member, and(eq(member.projectId, project.id), eq(member.userId, userId)))
    .where(eq(project.id, projectId));
  return { projectId, userId, ...row!, specialties: row!.specialties ?? [] };
}

interface Found extends Record<string, unknown> {
  id: string;
  number: number;
  /** Not there: as it was noted when they were first handed it. */
  picked?: Picked | null;
}

/**
 * The caller's next task, leased to them: the one they hold, else one that was meant for them, else, where the most uncertain come first,
 * one at random or the most uncertain, else one that somebody gave back or let lapse, else the first by number that they have not been led
 * past, else one that they skipped; null where nothing is left. `apart`: tasks that they have before them already, which are not the next.
 * Each search reads an index in its order and ends at the first task that fits, so that the length of the queue does not matter.
 */
export async function leaseNext(
  tx: Queryable,
  asker: Asker,
  apart: readonly string[] = [],
  random = Math.random
): Promise<string | null> {
  await oneAtATime(tx, asker);
  const found = await findNext(tx, asker, apart, random);
  if (found) await takeLease(tx, found, asker.userId);
  return found?.id ?? null;
}

/** As many tasks as asked for, or as there are, in the order in which they would come one by one: leased until `limits.tasks.along_hours` from now. */
export async function leaseAlong(tx: Queryable, asker: Asker, count: number): Promise<string[]> {
  await oneAtATime(tx, asker);
  const taken: string[] = [];
  while (taken.length < count) {
    const found = await findNext(tx, asker, taken, Math.random);
    if (!found) break;
    await takeLease(tx, found, asker.userId, 60 * limits.tasks.along_hours);
    taken.push(found.id);
  }
  return taken;
}

/** Two callers at once would both see a place that only one may have, and places behind them as taken that are not. */
export const oneAtATime = (tx: Queryable, { projectId }: Pick<Asker, 'projectId'>) =>
  tx.execute(sql`select pg_advisory_xact_lock(hashtext(${'lease/' + projectId}))`);

async function findNext(
  tx: Queryable,
  asker: Asker,
  apart: readonly string[],
  random: () => number
): Promise<Found | null> {
  const place = await placeOf(tx, asker);
  return (
    (await held(tx, asker, apart)) ??
    as(null, await assigned(tx, asker, apart)) ??
    (asker.order === 'uncertainty' ? await drawn(tx, asker, apart, random) : null) ??
    as(
      'arrival',
      (await freedBefore(tx, asker, apart, place)) ??
        (await firstAfter(tx, asker, apart, place)) ??
        (await skipped(tx, asker, apart))
    )
  );
}

const as = (picked: Picked | null, found: Found | null) => found && { ...found, picked };

/** Each task by a throw of its own, also where several are taken along, so that the share is that of all that are handed out. */
async function drawn(
  tx: Queryable,
  asker: Asker,
  apart: readonly string[],
  random: () => number
): Promise<Found | null> {
  const isRandom = random() < asker.randomShare;
  return (
    (isRandom ? as('random', await atRandom(tx, asker, apart, random)) : null) ??
    as('uncertain', await mostUncertain(tx, asker, apart))
  );
}

/**
 * The first that fits of numbers drawn evenly: each task that fits is as likely as the others. The next that fits after one number would be
 * found more often behind a gap. Nothing, and so the most uncertain, where none of the numbers fits: about once in a thousand times where a tenth of the tasks is
 * left to the caller, hardly ever where a fifth is.
 */
async function atRandom(
  tx: Queryable,
  asker: Asker,
  apart: readonly string[],
  random: () => number
): Promise<Found | null> {
  const { projectId } = asker;
  const last = await lastNumber(tx, projectId);
  const numbers = Array.from({ length: limits.tasks.numbers_drawn }, () => 1 + Math.floor(random() * last));
  return first(
    tx,
    sql`from unnest(${sql.param(numbers)}::int[]) with ordinality as drawn(number, at)
      join task t on t.project_id = ${projectId} and t.number = drawn.number ${leftMine(asker)}
      where ${isFor(asker)} and ${lacksRaters(asker)} and ${isNone(apart)}
      order by drawn.at`
  );
}

/**
 * Among so many of the highest: whoever has judged all those, while others have not yet, goes on by number. Ordered by the very columns of the
 * index, and each task looked up by itself (`offset 0`), so that nothing is sorted or scanned and the search ends at the first that fits.
 */
const mostUncertain = (tx: Queryable, asker: Asker, apart: readonly string[]) =>
  first(
    tx,
    sql`from (select task_id, value, number from task_uncertainty where project_id = ${asker.projectId}
        order by value desc, number limit ${limits.tasks.uncertain_looked_at_max}) u
      cross join lateral (select * from task where id = u.task_id offset 0) t ${leftMine(asker)}
      where ${isFor(asker)} and ${lacksRaters(asker)} and ${isNone(apart)}
      order by u.value desc, u.number`
  );

const held = (tx: Queryable, { projectId, userId, ...asker }: Asker, apart: readonly string[]) =>
  first(
    tx,
    sql`from lease mine join task t on t.id = mine.task_id
      where ${isMine(projectId, userId)} and not mine.skipped and mine.expires_at > now()
        and ${lacksRaters({ projectId, userId, ...asker })} and ${isNone(apart)}
      order by mine.number`
  );

const assigned = (tx: Queryable, asker: Asker, apart: readonly string[]) =>
  first(
    tx,
    sql`from lease mine join task t on t.id = mine.task_id
      where ${isMine(asker.projectId, asker.userId)} and mine.assigned and not mine.skipped
        and ${lacksRaters(asker)} and ${isNone(apart)}
      order by mine.number`
  );

/** Whatever came free behind the caller's place has the lease of whoever did not judge it. */
const freedBefore = (tx: Queryable, asker: Asker, apart: readonly string[], place: number) =>
  first(
    tx,
    sql`from lease l join task t on t.id = l.task_id ${leftMine(asker)}
      where l.project_id = ${asker.projectId} and l.version = 0 and l.open and not l.assigned and l.number <= ${place}
        and ${isFor(asker)} and ${lacksRaters(asker)} and ${isNone(apart)}
      order by l.number`
  );

async function firstAfter(
  tx: Queryable,
  asker: Asker,
  apart: readonly string[],
  place: number
): Promise<Found | null> {
  const { projectId, userId } = asker;
  const found = await first(
    tx,
    sql`from task t ${leftMine(asker)}
      where t.project_id = ${projectId} and t.status = 'open' and t.number > ${place}
        and ${isFor(asker)} and ${lacksRaters(asker)} and ${isNone(apart)}
      order by t.number`
  );
  const end = sql`(select coalesce(max(number), 0) from task where project_id = ${projectId})`;
  // A task that was opened by its link has no lease to be found by again.
  const beforeLinked = sql`(select min(t.number) - 1 from task t ${leftMine(asker)}
    where t.id = any(${sql.param(apart)}::text[]) and t.project_id = ${projectId} and t.number > ${place} and mine.task_id is null)`;
  await tx.execute(sql`
    insert into queue_place (project_id, user_id, number)
    values (${projectId}, ${userId}, least(${found?.number ?? end}, ${beforeLinked}))
    on conflict (project_id, user_id) do update set number = excluded.number`);
  return found;
}

const skipped = (tx: Queryable, asker: Asker, apart: readonly string[]) =>
  first(
    tx,
    sql`from lease mine join task t on t.id = mine.task_id
      where ${isMine(asker.projectId, asker.userId)} and mine.skipped and ${lacksRaters(asker)}
        and (mine.assigned or (not t.assigned
          and (t.specialty is null or t.specialty = any(${sql.param(asker.specialties)}::text[]))))
        and ${isNone(apart)}
      order by mine.updated_at`
  );

const isNone = (apart: readonly string[]) => sql`t.id <> all(${sql.param(apart)}::text[])`;

async function first(tx: Queryable, from: SQL): Promise<Found | null> {
  const { rows } = await tx.execute<Found>(sql`select t.id, t.number ${from} limit 1`);
  return rows[0] ?? null;
}

async function placeOf(tx: Queryable, { projectId, userId }: Asker): Promise<number> {
  const { rows } = await tx.execute<{ number: number }>(
    sql`select number from queue_place where project_id = ${projectId} and user_id = ${userId}`
  );
  return rows[0]?.number ?? 0;
}

export const leftMine = ({ userId }: Asker) =>
  sql`left join lease mine on mine.task_id = t.id and mine.user_id = ${userId}`;

export const isMine = (projectId: string, userId: string) =>
  sql`mine.project_id = ${projectId} and mine.user_id = ${userId} and mine.version = 0 and mine.open`;

/** Of a task in line: it is for everybody, or for a specialty that the caller has; they have not judged it and not skipped it. */
const isFor = ({ specialties }: Asker) => sql`
  not t.assigned and (t.specialty is null or t.specialty = any(${sql.param(specialties)}::text[]))
    and coalesce(mine.version, 0) = 0 and not coalesce(mine.skipped, false)`;

export const lacksRaters = ({ userId, overlap }: Asker) => sql`
  t.status = 'open' and t.raters + (select count(*) from lease l where l.task_id = t.id and l.user_id <> ${userId}
    and l.version = 0 and not l.skipped and l.expires_at > now()) < coalesce(t.overlap, ${overlap})`;
