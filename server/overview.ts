import { sql } from 'drizzle-orm';
import type { Overview } from '#wire/overview.ts';
import { Overview as Schema } from '#wire/overview.ts';
import { can } from './auth/can.ts';
import type { Queryable } from './db/index.ts';
import { guidelinesChanged } from './guidelines.ts';
import { limits } from './limits.ts';
import { json, type Call, type RoomApi, type Route } from './net/route.ts';
import { eachTaskPairs } from './pairs/index.ts';
import { scoredBy } from './runs/index.ts';
import { askerOf, judgesIn, standingOf } from './tasks/index.ts';

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
    const judges = can(project.role, 'task.judge');
    const [standing, guidelines_changed, work] = await Promise.all([
      standingOf(db, await askerOf(db, project.id, actor.id)),
      judges ? guidelinesChanged(db, project.id, actor.id) : false,
      can(project.role, 'work.read') ? workCounts(call) : null
    ]);
    const { total, revealed, wanted, ranked, judgements: rankings, done } = standing;
    const todo = judges ? standing.todo : 0;
    return json(200, {
      tasks: { total, revealed, wanted, ranked, todo, done },
      rankings,
      guidelines_changed,
      work
    } satisfies Overview);
  }
};

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
  return {
    pairs: await countPairs(db, project.id, revealedOnly),
    ...found.rows[0]!,
    scored: await scoredBy(db, project.id)
  };
}

/** Pairs are derived, not stored; a large project's are counted only so far as a page may wait. */
async function countPairs(db: Queryable, projectId: string, revealedOnly: boolean) {
  let count = 0;
  let tasks = 0;
  for await (const { pairs } of eachTaskPairs(db, projectId, { revealedOnly })) {
    count += pairs.length;
    if (count >= limits.overview.pairs_counted_max || ++tasks >= limits.overview.tasks_read_max)
      return { count, complete: false };
  }
  return { count, complete: true };
}

export const api: RoomApi = { routes: [overview] };
