import { sql } from 'drizzle-orm';
import { Guidelines } from '#wire/project.ts';
import { projectById } from './auth/index.ts';
import type { Queryable } from './db/index.ts';
import { json, type RoomApi, type Route } from './net/route.ts';

/** As they stood when this person last judged in the project; null where they say the same now, or nothing was judged. */
async function textBefore(db: Queryable, projectId: string, userId: string): Promise<string | null> {
  const { rows } = await db.execute<{ before: string | null }>(sql`
    with mine as (select max(updated_at) as at from lease
      where project_id = ${projectId} and user_id = ${userId} and version > 0
        and exists (select 1 from guidelines_past where project_id = ${projectId}))
    select nullif((select text from guidelines_past, mine where project_id = ${projectId} and replaced_at > mine.at
        order by replaced_at limit 1), (select guidelines from project where id = ${projectId})) as before`);
  return rows[0]!.before;
}

/** Whether they say something else than when this person last judged here. */
export async function guidelinesChanged(db: Queryable, projectId: string, userId: string): Promise<boolean> {
  return (await textBefore(db, projectId, userId)) !== null;
}

/** It stands beside the composition root: what a person last judged is not the business of the room that keeps projects. */
const guidelines: Route = {
  method: 'GET',
  path: '/projects/{project}/guidelines',
  summary: 'The guidelines, and as they stood when the caller last judged, where they have changed since',
  access: { who: 'member', action: 'project.read', object: 'project' },
  answers: { 200: Guidelines },
  async handle({ services: { db }, actor, project }) {
    const { guidelines: text } = (await projectById(db, project.id))!;
    const before = await textBefore(db, project.id, actor.id);
    return json(200, { text, before } satisfies Guidelines);
  }
};

export const api: RoomApi = { routes: [guidelines] };
