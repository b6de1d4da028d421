import { sql } from 'drizzle-orm';
import type { Role } from '#wire/project.ts';
import type { Queryable } from '../db/index.ts';
import type { Actor } from './actor.ts';

/** Where somebody stands now who came in some time ago: still signed in, and with which role in the project. */
export interface Standing {
  signedIn: boolean;
  role: Role | null;
}

/** For all of them in one query, in the order in which they were given. */
export async function standings(
  db: Queryable,
  asked: { actor: Actor; projectId: string }[]
): Promise<Standing[]> {
  const column = (of: (one: (typeof asked)[number]) => string) => sql.param(asked.map(of));
  const { rows } = await db.execute<{ signed_in: boolean; role: Role | null }>(sql`
    select s.id is not null or t.id is not null as signed_in, m.role
    from unnest(${column(({ actor }) => actor.via.kind)}::text[], ${column(({ actor }) => actor.via.id)}::text[],
      ${column(({ actor }) => actor.id)}::text[], ${column(({ projectId }) => projectId)}::text[])
      with ordinality as asked (kind, via, user_id, project_id, place)
    left join session s on asked.kind = 'session' and s.id = asked.via and s.expires_at > now()
    left join api_token t on asked.kind = 'token' and t.id = asked.via and t.revoked_at is null
    left join member m on m.project_id = asked.project_id and m.user_id = asked.user_id
    order by asked.place`);
  return rows.map(({ signed_in, role }) => ({ signedIn: signed_in, role }));
}
