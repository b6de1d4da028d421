import { and, eq } from 'drizzle-orm';
import type { Role } from '#wire/project.ts';
import type { Queryable } from '../db/index.ts';
import type { Actor } from './actor.ts';
import { can, type Action } from './can.ts';
import { member, project } from './tables.ts';

export type ProjectRow = typeof project.$inferSelect;

export async function projectById(db: Queryable, id: string): Promise<ProjectRow | null> {
  const [row] = await db.select().from(project).where(eq(project.id, id));
  return row ?? null;
}

export async function roleOf(db: Queryable, projectId: string, userId: string): Promise<Role | null> {
  const [row] = await db
    .select({ role: member.role })
    .from(member)
    .where(and(eq(member.projectId, projectId), eq(member.userId, userId)));
  return row?.role ?? null;
}

/** The caller's project and role; null for strangers and for tokens that are bound to another project. */
export async function memberOf(
  db: Queryable,
  actor: Actor,
  projectId: string
): Promise<{ project: ProjectRow; role: Role } | null> {
  if (actor.via.kind === 'token' && actor.via.projectId !== null && actor.via.projectId !== projectId)
    return null;
  const [row] = await db
    .select({ project, role: member.role })
    .from(member)
    .innerJoin(project, eq(project.id, member.projectId))
    .where(and(eq(member.projectId, projectId), eq(member.userId, actor.id)));
  return row ?? null;
}

/** What belongs to the instance, like a base model, is for those who may work with it in some project. */
export async function maySomewhere(db: Queryable, actor: Actor, action: Action): Promise<boolean> {
  if (actor.instanceOwner) return true;
  const bound = actor.via.kind === 'token' ? actor.via.projectId : null;
  const rows = await db
    .select({ role: member.role })
    .from(member)
    .where(and(eq(member.userId, actor.id), bound ? eq(member.projectId, bound) : undefined));
  return rows.some(({ role }) => can(role, action));
}
