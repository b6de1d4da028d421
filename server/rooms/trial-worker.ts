import { parentPort } from 'node:worker_threads';
import * as Y from 'yjs';
import type { Said, Trial } from './trials.ts';

const say = (said: Said) => parentPort!.postMessage(said);

/** Applies an update where nobody waits for it. Whoever asked ends this thread where it takes too long. */
parentPort!.on('message', ({ state, update }: Trial) => {
  const doc = new Y.Doc();
  Y.applyUpdate(doc, state);
  say({ what: 'started' });
  const before = process.threadCpuUsage();
  try {
    Y.applyUpdate(doc, update);
    const { user, system } = process.threadCpuUsage(before);
    say({ what: 'applied', ms: (user + system) / 1_000 });
  } catch {
    say({ what: 'failed' });
  }
  doc.destroy();
});
