import { setTimeout as sleep } from 'node:timers/promises';
import { and, desc, eq } from 'drizzle-orm';
import { project } from '../auth/tables.ts';
import type { Config } from '../config.ts';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import { dropOtherMargins, takeMargins } from '../priority/index.ts';
import type { Services } from '../services.ts';
import { countScored, tasksToScore, type TaskRecord } from '../tasks/index.ts';
import type { FindAdapter } from './job.ts';
import { marginsOf, scorerOf, scoringFolder, type Scorer } from './margins.ts';
import { findCommand } from './process.ts';
import { adapterIdOf, type RunRow } from './rows.ts';
import { run } from './tables.ts';
import { signalTrainer } from './trainer.ts';

/**
 * Scores open tasks by the current adapter, in projects that hand out the most uncertain first: some at a time, each project in its turn. How far
 * it is stands in the margins themselves, so that a killed server goes on there, and another adapter begins anew.
 */
export class Scoring {
  readonly #services: Services;
  readonly #findAdapter: FindAdapter;
  /** Adapters that failed, and when they are tried again. */
  readonly #putOff = new Map<string, number>();
  /** Of the tasks before: a tokenizer takes its time to read. */
  #scorer: Scorer | null = null;

  constructor(services: Services, findAdapter: FindAdapter) {
    this.#services = services;
    this.#findAdapter = findAdapter;
  }

  /** Goes on until it is stopped; never throws. */
  async work(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      const isMore = await this.#scoreSome(stop).catch((error: unknown) => {
        log.error('scoring', { error });
        return false;
      });
      if (isMore) continue;
      this.#scorer = null;
      await sleep(limits.scoring.check_seconds * 1_000, undefined, { signal: stop }).catch(() => {});
    }
  }

  /** Some tasks of each project; false where there is nothing to do. */
  async #scoreSome(stop: AbortSignal): Promise<boolean> {
    let isMore = false;
    for (const row of await scoringRuns(this.#services.db)) {
      if (stop.aborted) return false;
      isMore = (await this.#scoreSomeOf(row, stop)) || isMore;
    }
    return isMore;
  }

  async #scoreSomeOf(row: RunRow, stop: AbortSignal): Promise<boolean> {
    const { db } = this.#services;
    const { projectId } = row;
    const adapterId = adapterIdOf(row.id);
    if (await dropOtherMargins(db, projectId, adapterId)) return true;
    if ((this.#putOff.get(adapterId) ?? 0) > Date.now()) return false;
    const tasks = await tasksToScore(db, projectId);
    if (!tasks.length) return false;
    const margins = await this.#marginsOf(row, tasks, stop);
    if (!margins) return false;
    await takeMargins(db, projectId, adapterId, margins);
    return true;
  }

  /** Null where it was stopped, or failed: the order goes by what else is known. */
  async #marginsOf(row: RunRow, tasks: TaskRecord[], stop: AbortSignal) {
    const adapter = adapterIdOf(row.id);
    try {
      if (this.#scorer?.adapterId !== adapter)
        this.#scorer = await scorerOf(this.#services, this.#findAdapter, row);
      return await marginsOf(this.#services.config, this.#scorer, tasks, stop);
    } catch (error) {
      if (stop.aborted) return null;
      if (!this.#putOff.has(adapter)) log.warn('an adapter scores no tasks', { adapter, error });
      this.#putOff.set(adapter, Date.now() + limits.scoring.retry_minutes * 60_000);
      return null;
    }
  }
}

/** Of each project that hands out the most uncertain first its current adapter's run: the last one that learned preferences. */
async function scoringRuns(db: Queryable, projectId?: string): Promise<RunRow[]> {
  const rows = await db
    .selectDistinctOn([run.projectId], { run })
    .from(run)
    .innerJoin(project, eq(project.id, run.projectId))
    .where(
      and(
        eq(project.taskOrder, 'uncertainty'),
        eq(run.objective, 'dpo'),
        eq(run.status, 'done'),
        projectId ? eq(project.id, projectId) : undefined
      )
    )
    .orderBy(run.projectId, desc(run.endedAt), desc(run.id));
  return rows.map((row) => row.run);
}

/** The adapter whose margins order a project's tasks, and how many open tasks have one; null where there is none. */
export async function scoredBy(
  db: Queryable,
  projectId: string
): Promise<{ adapter: string; tasks: number } | null> {
  const [found] = await scoringRuns(db, projectId);
  if (!found) return null;
  return { adapter: found.name, tasks: await countScored(db, projectId, adapterIdOf(found.id)) };
}

/** What a server that was killed left scoring: its answer would be read by nobody. */
export function endLostScoring(config: Config): void {
  signalTrainer(findCommand(` --out ${scoringFolder(config)}/`), 'SIGKILL');
}
