import { and, asc, eq, sql } from 'drizzle-orm';
import type { z } from 'zod';
import type { ChangeProject, NewProject, Project } from '#wire/project.ts';
import { appendAudit } from '../audit/index.ts';
import { newId, type Database, type Queryable } from '../db/index.ts';
import type { Actor } from './actor.ts';
import type { ProjectRow } from './membership.ts';
import { guidelinesPast, member, project } from './tables.ts';

/** Makes a project whose maker is its owner. */
export async function createProject(
  db: Database,
  actor: Actor,
  given: z.infer<typeof NewProject>
): Promise<Project> {
  return db.transaction(async (tx) => {
    const { name, guidelines, criteria, review, span_categories } = given;
    const [row] = await tx
      .insert(project)
      .values({
        id: newId('project'),
        name,
        guidelines,
        criteria,
        mode: review.mode,
        overlap: review.overlap,
        strength: review.strength,
        taskOrder: review.order,
        randomShare: review.random_share,
        spanCategories: span_categories,
        createdBy: actor.id
      })
      .returning();
    await tx.insert(member).values({ projectId: row!.id, userId: actor.id, role: 'owner' });
    await appendAudit(tx, {
      actor,
      action: 'project.create',
      object: row!.id,
      projectId: row!.id,
      facts: { mode: review.mode }
    });
    return projectJson(row!, 'owner');
  });
}

/** Changes what is given, and locks the project; guidelines as they stood are kept. */
export async function changeProject(
  tx: Queryable,
  actor: Actor,
  id: string,
  given: ChangeProject
): Promise<{ before: ProjectRow; after: ProjectRow }> {
  const [before] = await tx.select().from(project).where(eq(project.id, id)).for('no key update');
  const { name, guidelines, review, span_categories } = given;
  const isRewritten = guidelines !== undefined && guidelines !== before!.guidelines;
  if (isRewritten)
    await tx.insert(guidelinesPast).values({
      projectId: id,
      text: before!.guidelines,
      userId: actor.id,
      replacedAt: sql`clock_timestamp()`
    });
  const [after] = await tx
    .update(project)
    .set({
      name: name ?? before!.name,
      guidelines: guidelines ?? before!.guidelines,
      overlap: review?.overlap ?? before!.overlap,
      strength: review?.strength ?? before!.strength,
      dueOn: review?.due_on === undefined ? before!.dueOn : review.due_on,
      taskOrder: review?.order ?? before!.taskOrder,
      randomShare: review?.random_share ?? before!.randomShare,
      spanCategories: span_categories ?? before!.spanCategories
    })
    .where(eq(project.id, id))
    .returning();
  return { before: before!, after: after! };
}

export function projectJson(row: ProjectRow, role: Project['role']): Project {
  const { id, name, guidelines, criteria, mode, overlap, strength, taskOrder, randomShare } = row;
  return {
    id,
    name,
    guidelines,
    criteria,
    review: { mode, overlap, strength, due_on: row.dueOn, order: taskOrder, random_share: randomShare },
    span_categories: row.spanCategories,
    role,
    created_at: row.createdAt.toISOString()
  };
}

export async function projectsOf(db: Queryable, actor: Actor): Promise<Project[]> {
  const bound = actor.via.kind === 'token' ? actor.via.projectId : null;
  const rows = await db
    .select({ project, role: member.role })
    .from(member)
    .innerJoin(project, eq(project.id, member.projectId))
    .where(and(eq(member.userId, actor.id), bound ? eq(project.id, bound) : undefined))
    .orderBy(asc(project.createdAt));
  return rows.map((row) => projectJson(row.project, row.role));
}
