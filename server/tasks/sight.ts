import { sql } from 'drizzle-orm';
import type { Project } from '#wire/project.ts';
import type { Person } from '#wire/remark.ts';
import type { Queryable } from '../db/index.ts';
import type { Call } from '../net/route.ts';
import { hasRanked, judgesIn } from './leases.ts';
import type { TaskRecord } from './task.ts';

/**
 * Whether the caller may see others' judgements of a task. Reviewers: after its reveal, where they judged it. In a
 * blind project owners, engineers and viewers who judge there: after its reveal. Adjudicators: always, but for a task
 * that they judge themselves, whose reveal they await like everyone.
 */
export async function seesOthers(
  { services: { db }, actor, project }: Pick<Call, 'services' | 'actor' | 'project'>,
  task: TaskRecord
): Promise<boolean> {
  const revealed = task.revealedAt !== null;
  if (project.role === 'reviewer') return revealed && (await hasRanked(db, task.id, actor.id));
  if (revealed || project.mode === 'open') return true;
  if (project.role === 'adjudicator') return !(await hasRanked(db, task.id, actor.id));
  return !(await judgesIn(db, project.id, actor.id));
}

/** Whether the caller may sit at a task's table: from the start in an open project; in a blind one after the reveal, with what they may then see. */
export async function seesTable(
  call: Pick<Call, 'services' | 'actor' | 'project'>,
  task: TaskRecord
): Promise<boolean> {
  if (call.project.mode === 'open') return true;
  return task.revealedAt !== null && (await seesOthers(call, task));
}

/** All who may sit at the table of a task whose table is open, by name: everybody, but of a blind project's reviewers those who judged it. */
export async function peopleAtTable(
  db: Queryable,
  task: Pick<TaskRecord, 'id' | 'projectId'>,
  mode: Project['review']['mode']
): Promise<Person[]> {
  const found = await db.execute<Person & Record<string, unknown>>(sql`
    select u.id, u.name from member m join "user" u on u.id = m.user_id
    where m.project_id = ${task.projectId} and (${mode} = 'open' or m.role <> 'reviewer'
      or exists (select 1 from lease l where l.task_id = ${task.id} and l.user_id = u.id and l.version > 0))
    order by u.name, u.id`);
  return found.rows.map(({ id, name }) => ({ id, name }));
}
