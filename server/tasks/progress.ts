import { and, eq, sql } from 'drizzle-orm';
import { PROGRESS_DAYS, ProgressQuery, Progress } from '#wire/progress.ts';
import { member, project } from '../auth/tables.ts';
import type { Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { json, type Route } from '../net/route.ts';

/** https://www.postgresql.org/docs/18/errcodes-appendix.html */
const INVALID_PARAMETER_VALUE = '22023';

export const progress: Route = {
  method: 'GET',
  path: '/projects/{project}/progress',
  summary: "First judgements by day, the caller's own and everybody's, with goals",
  access: { who: 'member', action: 'project.read', object: 'project' },
  query: ProgressQuery,
  answers: { 200: Progress },
  async handle({ services: { db }, actor, project, query }) {
    const [days, goals] = await Promise.all([
      daysOf(db, project.id, actor.id, query.zone),
      goalsOf(db, project.id, actor.id)
    ]);
    return json(200, { days, ...goals } satisfies Progress);
  }
};

/** From leases alone, in the order of an index: it does not matter how many tasks or older judgements there are. */
async function daysOf(
  db: Queryable,
  projectId: string,
  userId: string,
  zone: string
): Promise<Progress['days']> {
  const { rows } = await db
    .execute<Progress['days'][number]>(
      sql`
    with days as (select generate_series(0, ${PROGRESS_DAYS - 1}) as ago),
      bounds as (select (now() at time zone ${zone})::date - ago as day from days),
      counts as (select (ranked_at at time zone ${zone})::date as day, count(*)::int as all,
          count(*) filter (where user_id = ${userId})::int as mine
        from lease where project_id = ${projectId} and ranked_at is not null
          and ranked_at >= (select min(day) from bounds)::timestamp at time zone ${zone}
        group by 1)
    select to_char(bounds.day, 'YYYY-MM-DD') as day, coalesce(counts.mine, 0) as mine, coalesce(counts.all, 0) as all
    from bounds left join counts using (day) order by bounds.day`
    )
    .catch((error: { cause?: { code?: string } }) => {
      if (error.cause?.code !== INVALID_PARAMETER_VALUE) throw error;
      throw new Fault(
        422,
        'invalid',
        `zone: ${zone} is no time zone; give an IANA name such as Europe/Berlin.`
      );
    });
  return rows;
}

async function goalsOf(db: Queryable, projectId: string, userId: string) {
  const [row] = await db
    .select({ goal: member.goal, due_on: project.dueOn })
    .from(project)
    .leftJoin(member, and(eq(member.projectId, project.id), eq(member.userId, userId)))
    .where(eq(project.id, projectId));
  return row!;
}
