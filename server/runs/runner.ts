import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { and, eq, sql } from 'drizzle-orm';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import type { Services } from '../services.ts';
import { endRun, failureOf, type Artifacts } from './end.ts';
import { endingOf } from './ending.ts';
import { readEvents, Superseded, takeEvents, takenSoFar } from './events.ts';
import { prepare } from './job.ts';
import type { News } from './news.ts';
import { findTrainer, isAlive, type ProcessId } from './process.ts';
import { currentRun, findRun, outputFolder, runFolder, type RunRow } from './rows.ts';
import { endLostScoring, type Scoring } from './scoring.ts';
import { run } from './tables.ts';
import { signalTrainer, startTraining, withoutPaths } from './trainer.ts';

const POLL_MS = 200;
const RETRY_MS = 1_000;
/** Errors that are not the run's own (the database was away) before the next in the queue gets its turn. */
const TRIES_MAX = 10;

/**
 * Works on one run at a time, the rest wait; tasks are scored while none is there. Every step of it can be repeated: what a killed server left is looked at
 * afresh (is its trainer alive? what has it written?) and carried on.
 */
export class Runner {
  readonly #services: Services;
  readonly #artifacts: Artifacts;
  readonly #news: News;
  readonly #scoring: Scoring;
  readonly #closing = new AbortController();
  #working: Promise<void> = Promise.resolve();
  #wake = () => {};
  #tries = { run: '', count: 0 };

  constructor(services: Services, artifacts: Artifacts, news: News, scoring: Scoring) {
    this.#services = services;
    this.#artifacts = artifacts;
    this.#news = news;
    this.#scoring = scoring;
  }

  start(): void {
    endLostScoring(this.#services.config);
    this.#working = this.#loop();
  }

  /** A run stands in the queue. */
  wake(): void {
    this.#wake();
  }

  /** Leaves a living trainer alone: the next server finds it. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#wake();
    await this.#working;
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted;
  }

  async #loop(): Promise<void> {
    while (!this.#closed) {
      try {
        const woken = new Promise<void>((resolve) => (this.#wake = resolve));
        const row = await currentRun(this.#services.db);
        if (row) await this.#carry(row);
        else await this.#scoreUntil(woken);
      } catch (error) {
        if (this.#closed) return;
        if (!(error instanceof Superseded)) log.error('runs', { error });
        await this.#pause(RETRY_MS);
      }
    }
  }

  /** Scoring has ended when this does: no run shares the machine with it. */
  async #scoreUntil(woken: Promise<void>): Promise<void> {
    const stop = new AbortController();
    const scoring = this.#scoring.work(stop.signal);
    await woken;
    stop.abort();
    await scoring;
  }

  #pause(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => {});
  }

  async #carry(row: RunRow): Promise<void> {
    try {
      const running = row.status === 'running' ? row : await this.#begin(row);
      if (running) await this.#follow(running);
      this.#tries = { run: '', count: 0 };
    } catch (error) {
      if (this.#closed || error instanceof Superseded) throw error;
      const count = this.#tries.run === row.id ? this.#tries.count + 1 : 1;
      this.#tries = { run: row.id, count };
      const sentence = failureOf(error, count >= TRIES_MAX);
      if (sentence === null) throw error;
      await this.#end(row, { kind: 'failed', error: sentence });
    }
  }

  /** Prepares and starts a queued run; null where it was cancelled meanwhile. */
  async #begin(row: RunRow): Promise<RunRow | null> {
    const { config, db } = this.#services;
    const folder = runFolder(config, row.id);
    let trainer = findTrainer(join(folder, 'job.json'));
    // Events without a trainer: it ran and ended before anyone noted that it had begun.
    if (!trainer && !existsSync(this.#eventsOf(row))) {
      await prepare(this.#services, this.#artifacts.findAdapter, row);
      if ((await findRun(db, row.id))?.status !== 'queued' || this.#closed) return null;
      trainer = await startTraining(config, folder);
    }
    const running = await this.#note(row, trainer, row.attempt);
    if (!running) signalTrainer(trainer, 'SIGKILL');
    return running;
  }

  /** Started first and noted afterwards: a trainer that nobody noted is found again, a note without one would be a lie. */
  async #note(row: RunRow, trainer: ProcessId | null, attempt: number): Promise<RunRow | null> {
    const { pid, start } = trainer ?? { pid: null, start: null };
    const [noted] = await this.#services.db
      .update(run)
      .set({
        ...{ status: 'running', pid, pidStart: start, attempt },
        startedAt: sql`coalesce(${run.startedAt}, now())`,
        heartbeatAt: sql`now()`
      })
      .where(and(eq(run.id, row.id), eq(run.status, row.status)))
      .returning();
    this.#news.tell(row.id);
    return noted ?? null;
  }

  /** Takes in what the trainer writes until it is gone, then decides what becomes of the run. */
  async #follow(row: RunRow): Promise<void> {
    const { config, db } = this.#services;
    const trainer = livingTrainer(row) ?? findTrainer(join(runFolder(config, row.id), 'job.json'));
    const stop = stopper(trainer);
    let taken = await takenSoFar(db, row);
    let beat = Date.now();
    while (!this.#closed) {
      // Asked before reading, so that what it wrote last is read after it was seen dead.
      const alive = trainer !== null && isAlive(trainer);
      const read = await readEvents(this.#eventsOf(row), taken.cursor, (line) => withoutPaths(config, line));
      if (read.cursor !== taken.cursor || Date.now() - beat > limits.runs.heartbeat_seconds * 1_000) {
        taken = await takeEvents(db, row, taken, read);
        beat = Date.now();
        if (read.events.length) this.#news.tell(row.id);
        if (read.events.length) continue;
      }
      const now = await findRun(db, row.id);
      if (!now) return stop('SIGKILL');
      if (!alive) return this.#settle(now);
      if (now.cancelRequestedAt) stop(hasWaited(now.cancelRequestedAt) ? 'SIGKILL' : 'SIGTERM');
      await this.#pause(POLL_MS);
    }
  }

  async #settle(row: RunRow): Promise<void> {
    const { config, db } = this.#services;
    const ending = await endingOf(config, db, row);
    if (ending.kind !== 'resume') return this.#end(row, ending);
    log.warn('a trainer ended without a word and is started again', {
      run: row.id,
      attempt: row.attempt + 1
    });
    const trainer = await startTraining(config, runFolder(config, row.id));
    await this.#note(row, trainer, row.attempt + 1);
  }

  async #end(...[row, ending]: [RunRow, Parameters<typeof endRun>[3]]): Promise<void> {
    await endRun(this.#services, this.#artifacts, row, ending);
    this.#news.tell(row.id);
  }

  #eventsOf({ id }: RunRow): string {
    return join(outputFolder(this.#services.config, id), 'events.jsonl');
  }
}

function livingTrainer({ pid, pidStart }: RunRow): ProcessId | null {
  const noted = pid !== null && pidStart !== null ? { pid, start: pidStart } : null;
  return noted && isAlive(noted) ? noted : null;
}

function hasWaited(since: Date): boolean {
  return Date.now() - since.getTime() > limits.runs.cancel_seconds_max * 1_000;
}

/** Sends each signal once: a trainer that is writing its checkpoint is not asked again. */
function stopper(trainer: ProcessId | null): (signal: 'SIGTERM' | 'SIGKILL') => void {
  const sent = new Set<string>();
  return (signal) => {
    if (sent.has(signal)) return;
    sent.add(signal);
    signalTrainer(trainer, signal);
  };
}
