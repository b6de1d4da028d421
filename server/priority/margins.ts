import type { Queryable } from '../db/index.ts';
import { valuesOf } from '../rankings/index.ts';
import {
  dropMargins,
  fitOf,
  keepMargins,
  keepUncertainties,
  valueAlone,
  type Margins,
  type TaskToValue
} from '../tasks/index.ts';

/** Keeps what an adapter says of some tasks, and values them by it. */
export async function takeMargins(
  db: Queryable,
  projectId: string,
  adapterId: string,
  margins: Margins
): Promise<void> {
  await db.transaction(async (tx) => {
    await valueAlone(tx, projectId);
    await valueAgain(tx, projectId, await keepMargins(tx, projectId, adapterId, margins));
  });
}

/** Drops some margins that another adapter has left, and values their tasks without; false where there are none. */
export async function dropOtherMargins(
  db: Queryable,
  projectId: string,
  adapterId: string
): Promise<boolean> {
  return db.transaction(async (tx) => {
    await valueAlone(tx, projectId);
    const tasks = await dropMargins(tx, projectId, adapterId);
    await valueAgain(tx, projectId, tasks ?? []);
    return tasks !== null;
  });
}

async function valueAgain(tx: Queryable, projectId: string, tasks: TaskToValue[]): Promise<void> {
  const found = await fitOf(tx, projectId);
  const values = await valuesOf(tx, tasks, found?.fit ?? null);
  for (const [at, { number }] of tasks.entries())
    await keepUncertainties(tx, projectId, number - 1, number, [values[at]!]);
}
