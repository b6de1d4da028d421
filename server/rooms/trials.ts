import { Worker } from 'node:worker_threads';
import { limits } from '../limits.ts';
import { malformed } from './refusal.ts';

export interface Trial {
  state: Uint8Array;
  update: Uint8Array;
}

/** `ms`: time on the processor; a busy machine must not make an honest update a heavy one. */
export type Said = { what: 'started' | 'failed' } | { what: 'applied'; ms: number };

export interface Trials {
  /** Resolves where the update can be applied to the state in time; throws a `Refusal` where it cannot. */
  run(trial: Trial): Promise<void>;
  close(): Promise<void>;
}

/**
 * A thread in which updates are tried that might hold up the one that everybody waits for. There is one, started when
 * it is first needed, and trials go one after the other: whoever sends heavy updates waits for others who do.
 */
export function createTrials(): Trials {
  let worker: Worker | null = null;
  let line: Promise<unknown> = Promise.resolve();

  function ready(): Worker {
    if (worker) return worker;
    const resourceLimits = { maxOldGenerationSizeMb: limits.rooms.trial_memory_mb_max };
    worker = new Worker(new URL('./trial-worker.ts', import.meta.url), { resourceLimits });
    worker.unref();
    return worker;
  }

  async function end(): Promise<void> {
    const ending = worker;
    worker = null;
    await ending?.terminate();
  }

  /** How long it took, or why it cannot be done. */
  function outcome(thread: Worker): Promise<number | 'failed'> {
    const heard = new AbortController();
    const { signal } = heard;
    return new Promise<number | 'failed'>((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const on = (event: string, listener: (value: any) => void) => {
        thread.on(event, listener);
        signal.addEventListener('abort', () => thread.off(event, listener));
      };
      on('message', (said: Said) => {
        if (said.what === 'started')
          timer = setTimeout(() => resolve(Infinity), limits.rooms.trial_wait_ms_max);
        else resolve(said.what === 'applied' ? said.ms : said.what);
      });
      on('error', reject);
      on('exit', () => reject(new Error('The thread for heavy updates ended.')));
      signal.addEventListener('abort', () => clearTimeout(timer));
    }).finally(() => heard.abort());
  }

  async function tried(trial: Trial): Promise<void> {
    const thread = ready();
    const verdict = outcome(thread);
    thread.postMessage(trial);
    try {
      const took = await verdict;
      if (took === 'failed') throw malformed('The update cannot be applied.');
      if (took > limits.rooms.trial_ms_max) throw malformed('The update takes too long.');
    } catch (error) {
      await end();
      throw error;
    }
  }

  return {
    run(trial) {
      const mine = line.then(() => tried(trial));
      line = mine.catch(() => {});
      return mine;
    },
    close: end
  };
}
