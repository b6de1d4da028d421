import * as Y from 'yjs';
import { limits } from '../limits.ts';
import { updateFrame } from './frames.ts';
import type { Connection } from './connection.ts';

/** What the pages of a room are told of what has committed. */
export interface Outgoing {
  /** At once where the room was quiet; else together with what else commits until its time has come. */
  tell(committed: Committed[], settled: Iterable<Connection>): void;
  destroy(): void;
}

/** `from`: whose page has it already; null where nobody's has. */
export interface Committed {
  bytes: Uint8Array;
  from: Connection | null;
}

export function createOutgoing(connections: ReadonlySet<Connection>): Outgoing {
  let waiting: Committed[] = [];
  let authors = new Set<Connection>();
  let timer: NodeJS.Timeout | null = null;
  let flushedAt = -Infinity;

  function flush(): void {
    const [committed, settled] = [waiting, authors];
    waiting = [];
    authors = new Set();
    timer = null;
    flushedAt = performance.now();
    const [first] = committed;
    const only = first && committed.every(({ from }) => from === first.from) ? first.from : null;
    // The author may have left meanwhile.
    const listeners = connections.size - (only && connections.has(only) ? 1 : 0);
    const frame = first && listeners > 0 ? merged(committed) : null;
    for (const connection of connections) {
      const isNews = frame !== null && connection !== only;
      if (isNews || settled.has(connection)) connection.tell(isNews ? frame : null, settled.has(connection));
    }
  }

  return {
    tell(committed, settled) {
      waiting.push(...committed);
      for (const one of settled) authors.add(one);
      const interval = (1_000 * connections.size) / limits.rooms.broadcasts_per_second;
      const due = flushedAt + interval - performance.now();
      if (due <= 0 && timer === null) flush();
      else timer ??= setTimeout(flush, due);
    },
    destroy() {
      if (timer) clearTimeout(timer);
      timer = null;
    }
  };
}

const merged = (committed: Committed[]) =>
  updateFrame(
    committed.length === 1 ? committed[0]!.bytes : Y.mergeUpdates(committed.map(({ bytes }) => bytes))
  );
