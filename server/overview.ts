import { sql } from 'drizzle-orm';
import type { Overview } from '#wire/overview.ts';
import { Overview as Schema } from '#wire/overview.ts';
import { projectById } from './auth/index.ts';
import { can } from './auth/can.ts';
import type { Queryable } from './db/index.ts';
import { limits } from './limits.ts';
import { json, type Call, type RoomApi, type Route } from './net/route.ts';
import { eachTaskPairs } from './pairs/index.ts';
import { countLeft, judgesIn } from './tasks/index.ts';

/** Counts from every room of the flow; it stands beside the composition root because no single room may see them all. */
const overview: Route = {
  method: 'GET',
  path: '/projects/{project}/overview',
  summary: 'Where the loop stands: tasks, rankings, pairs, datasets, runs and adapters in counts',
  access: { who: 'member', action: 'project.read', object: 'project' },
  answers: { 200: Schema },
  async handle(call) {
    const { services, actor, project } = call;
    const { db } = services;
    const { overlap } = (await projectById(db, project.id))!;
    const [judging, todo, work] = await Promise.all([
      judgingCounts(db, project.id, actor.id),
      can(project.role, 'task.judge') ? countLeft(db, project.id, actor.id, overlap) : 0,
      can(project.role, 'work.read') ? workCounts(call) : null
    ]);
    const { total, revealed, done, rankings } = judging;
    return json(200, { tasks: { total, revealed, todo, done }, rankings, work } satisfies Overview);
  }
};

async function judgingCounts(db: Queryable, projectId: string, userId: string) {
  const found = await db.execute<{ total: number; revealed: number; done: number; rankings: number }>(sql`
    select count(*)::int as total, count(*) filter (where t.status = 'revealed')::int as revealed,
      count(*) filter (where mine.version > 0)::int as done,
      (select count(*) from (select distinct on (r.task_id, r.kind, r.rater) r.verdict from ranking r
        join task on task.id = r.task_id where task.project_id = ${projectId}
        order by r.task_id, r.kind, r.rater, r.version desc) judged
        where verdict <> 'withdrawn')::int as rankings
    from task t left join lease mine on mine.task_id = t.id and mine.user_id = ${userId}
    where t.project_id = ${projectId}`);
  return found.rows[0]!;
}

async function workCounts({ services: { db }, actor, project }: Call) {
  const found = await db.execute<{
    datasets: number;
    runs: number;
    runs_active: number;
    adapters: number;
  }>(sql`
    select (select count(*) from dataset where project_id = ${project.id})::int as datasets,
      (select count(*) from run where project_id = ${project.id})::int as runs,
      (select count(*) from run where project_id = ${project.id} and status in ('queued', 'running'))::int
        as runs_active,
      (select count(*) from adapter where project_id = ${project.id})::int as adapters`);
  const revealedOnly = project.mode === 'blind' && (await judgesIn(db, project.id, actor.id));
  return { pairs: await countPairs(db, project.id, revealedOnly), ...found.rows[0]! };
}

/** Pairs are derived, not stored; a large project's are counted only so far as a page may wait. */
async function countPairs(db: Queryable, projectId: string, revealedOnly: boolean) {
  const found = await db.execute<{ first: number | null; last: number | null }>(sql`
    select min(number)::int as first, max(number)::int as last from task
    where project_id = ${projectId} and exists (select 1 from ranking where task_id = task.id)`);
  const { first, last } = found.rows[0]!;
  let count = 0;
  if (first === null || last === null) return { count, complete: true };
  for await (const { task, pairs } of eachTaskPairs(db, projectId, { revealedOnly }, first - 1)) {
    count += pairs.length;
    if (task.number >= last) break;
    if (count >= limits.overview.pairs_counted_max) return { count, complete: false };
  }
  return { count, complete: true };
}

export const api: RoomApi = { routes: [overview] };
