import { PgBoss } from 'pg-boss';
import type { Connection } from '../db/connect.ts';
import { log } from './log.ts';

/**
 * Work that outlives a request. A job is only a nudge: the truth is a row (import, run) with heartbeat and cursor, so a
 * job that runs twice or late does no harm.
 */
export interface Jobs {
  /** Registers the worker of a queue; called once, before `start`. */
  on(queue: string, work: (data: Record<string, string>) => Promise<void>): void;
  send(queue: string, data: Record<string, string>): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export function createJobs(connection: Connection): Jobs {
  // Its own small pool: it keeps one connection open to listen, so that a job starts within milliseconds.
  const boss = new PgBoss({ ...connection, schema: 'job', max: 4, useListenNotify: true });
  boss.on('error', (error) => log.error('job queue', { error }));
  const workers = new Map<string, (data: Record<string, string>) => Promise<void>>();
  return {
    on: (queue, work) => void workers.set(queue, work),
    send: async (queue, data) => void (await boss.send(queue, data)),
    async start() {
      await boss.start();
      for (const [queue, work] of workers) {
        await boss.createQueue(queue, { retryLimit: 3, expireInSeconds: 6 * 3_600, notify: true });
        await boss.work<Record<string, string>>(
          queue,
          { pollingIntervalSeconds: 2, batchSize: 1 },
          async (jobs) => {
            for (const job of jobs) await work(job.data);
          }
        );
      }
    },
    stop: () => boss.stop({ graceful: true, timeout: 5_000 })
  };
}
