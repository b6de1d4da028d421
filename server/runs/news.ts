import { EventEmitter } from 'node:events';

/** Tells those who follow a run that there is something new to read; what it is stands in the database. */
export interface News {
  tell(runId: string): void;
  /** True when there was news, false when the time was up or `close` was called. */
  wait(runId: string, timeoutMs: number): Promise<boolean>;
  close(): void;
  readonly closed: boolean;
}

export function createNews(): News {
  // Any number of pages may follow one run.
  const emitter = new EventEmitter().setMaxListeners(0);
  let closed = false;
  return {
    tell: (runId) => void emitter.emit(runId),
    wait(runId, timeoutMs) {
      if (closed) return Promise.resolve(false);
      return new Promise((resolve) => {
        const end = (news: boolean) => {
          clearTimeout(timer);
          emitter.off(runId, onNews);
          emitter.off('close', onClose);
          resolve(news);
        };
        const onNews = () => end(true);
        const onClose = () => end(false);
        const timer = setTimeout(onClose, timeoutMs).unref();
        emitter.once(runId, onNews);
        emitter.once('close', onClose);
      });
    },
    close() {
      closed = true;
      emitter.emit('close');
    },
    get closed() {
      return closed;
    }
  };
}
