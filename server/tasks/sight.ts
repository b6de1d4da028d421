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
