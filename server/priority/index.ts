import { fitStrengths, type Comparison, type StrengthFit } from '#domain/bradley-terry.ts';
import { derivePairs } from '#domain/pairs.ts';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import { judgementsOf, valuesOf, type NamedJudgement } from '../rankings/index.ts';
import type { Services } from '../services.ts';
import {
  dueProjects,
  fitOf,
  forgetFits,
  judgedTasks,
  keepFit,
  keepUncertainties,
  lastNumber,
  noteValuedTo,
  tasksToValue,
  valueAlone,
  type Due,
  type TaskToValue
} from '../tasks/index.ts';

export { dropOtherMargins, takeMargins } from './margins.ts';

/**
 * Keeps how uncertain the tasks are of projects that hand out the most uncertain first. A submission values its own task; here, one project after
 * the other, sources are fitted anew once there are enough new judgements, and all open tasks valued by that, some at a time. Whether a
 * project is behind stands in its rows, so that a killed server goes on where it was.
 */
export function keepPriority({ db }: Services) {
  let stopping = false;
  let working: Promise<void> | null = null;
  const timer = setInterval(() => void check(), limits.priority.check_seconds * 1_000).unref();
  void check();

  function check(): Promise<void> {
    working ??= catchUp(db, () => stopping)
      .catch((error: unknown) => {
        if (!stopping) log.error('priority', { error });
      })
      .finally(() => (working = null));
    return working;
  }

  async function close(): Promise<void> {
    stopping = true;
    clearInterval(timer);
    await working;
  }

  return { close };
}

/** Values whatever is behind; ends between two steps where it is to stop. */
export async function catchUp(db: Queryable, stopping: () => boolean = () => false): Promise<void> {
  await forgetFits(db);
  const failures: unknown[] = [];
  for (const due of await dueProjects(db))
    await catchUpOne(db, due, stopping).catch((error: unknown) => failures.push(error));
  // The others come again with the next check.
  if (failures.length) throw failures[0];
}

async function catchUpOne(db: Queryable, due: Due, stopping: () => boolean): Promise<void> {
  if (due.isFitDue) await fitAnew(db, due, stopping);
  const found = stopping() ? null : await fitOf(db, due.projectId);
  if (found) await valueTasks(db, due.projectId, found, stopping);
}

async function fitAnew(
  db: Queryable,
  { projectId, judgements }: Due,
  stopping: () => boolean
): Promise<void> {
  const { tasks_fitted_max, tasks_at_once } = limits.priority;
  const times = new Map<string, Comparison>();
  for (let read = 0, before = 2 ** 31 - 1; read < tasks_fitted_max; read += tasks_at_once) {
    if (stopping()) return;
    const tasks = await judgedTasks(db, projectId, before, tasks_at_once);
    if (!tasks.length) break;
    before = tasks.at(-1)!.number;
    const judged = await judgementsOf(
      db,
      tasks.map(({ id }) => id)
    );
    for (const task of tasks) compare(times, task, judged.get(task.id) ?? []);
  }
  await keepFit(db, projectId, fitStrengths(mostCompared([...times.values()])), judgements);
}

/** Counts a task's pairs by the sources of their two outputs. */
function compare(
  times: Map<string, Comparison>,
  { outputs }: TaskToValue,
  judgements: NamedJudgement[]
): void {
  const sourceOf = new Map(outputs.map(({ id, source }) => [id, source]));
  for (const { chosen, rejected } of derivePairs([...sourceOf.keys()], judgements)) {
    const [winner, loser] = [sourceOf.get(chosen), sourceOf.get(rejected)];
    if (!winner || !loser || winner === loser) continue;
    const key = JSON.stringify([winner, loser]);
    const before = times.get(key) ?? { winner, loser, times: 0 };
    times.set(key, { ...before, times: before.times + 1 });
  }
}

/** Those between the sources that have most of them. */
function mostCompared(comparisons: Comparison[]): Comparison[] {
  const counts = new Map<string, number>();
  for (const { winner, loser, times } of comparisons)
    for (const source of [winner, loser]) counts.set(source, (counts.get(source) ?? 0) + times);
  const kept = new Set(
    [...counts]
      .sort(([, a], [, b]) => b - a)
      .slice(0, limits.priority.sources_max)
      .map(([source]) => source)
  );
  return comparisons.filter(({ winner, loser }) => kept.has(winner) && kept.has(loser));
}

async function valueTasks(
  db: Queryable,
  projectId: string,
  { fit, scoredTo }: { fit: StrengthFit; scoredTo: number },
  stopping: () => boolean
): Promise<void> {
  const { tasks_at_once } = limits.priority;
  let isEnd = false;
  for (let after = scoredTo; !isEnd && !stopping();)
    after = await db.transaction(async (tx) => {
      await valueAlone(tx, projectId);
      const end = await lastNumber(tx, projectId);
      const tasks = await tasksToValue(tx, projectId, after, tasks_at_once);
      const values = await valuesOf(tx, tasks, fit);
      isEnd = tasks.length < tasks_at_once;
      const last = isEnd ? Math.max(end, tasks.at(-1)?.number ?? 0) : tasks.at(-1)!.number;
      await keepUncertainties(tx, projectId, after, last, values);
      await noteValuedTo(tx, projectId, last);
      return last;
    });
}
