import { letterOrder, shownOrder, unassignedSeat } from '#domain/shown-order.ts';
import type { Project } from '#wire/project.ts';
import type { TaskStatus } from '#wire/task.ts';
import type { Actor } from '../auth/index.ts';
import type { Queryable } from '../db/index.ts';
import { leaseOf } from './leases.ts';
import type { TaskRecord } from './task.ts';

type Mode = Project['review']['mode'];

/** Scripts, which tokens are for, mean outputs by their order in the import. */
export const isInBrowser = ({ via }: Actor): boolean => via.kind === 'session';

/**
 * The order in which a person at this seat (null: none was given) is shown outputs that are in the order of their letters: their own
 * in a blind project until the reveal, so that places favour no output. In an open project people talk over the same screen, and
 * after the reveal over the same table.
 */
export function shownTo(
  lettered: readonly { id: string }[],
  task: { id: string; mode: Mode; status: TaskStatus },
  userId: string,
  seat: number | null
): string[] {
  const ids = lettered.map(({ id }) => id);
  if (task.mode === 'open' || task.status === 'revealed') return ids;
  return shownOrder(ids, seat ?? unassignedSeat(task.id, userId));
}

/**
 * What to keep with a judgement: the order in which this caller was shown the task's outputs. A page that was opened by its link
 * before the task was handed out shows the order of nobody's seat; which of the two it was the page says.
 */
export async function orderShown(
  db: Queryable,
  { id, status, outputs }: TaskRecord,
  mode: Mode,
  actor: Actor,
  said: readonly string[] = []
): Promise<string[]> {
  if (!isInBrowser(actor)) return outputs.map((output) => output.id);
  const mine = await leaseOf(db, id, actor.id);
  const shown = (seat: number | null) => shownTo(letterOrder(outputs), { id, mode, status }, actor.id, seat);
  const unseated = shown(null);
  const isUnseated = unseated.length === said.length && unseated.every((output, i) => output === said[i]);
  return isUnseated ? unseated : shown(mine?.seat ?? null);
}
