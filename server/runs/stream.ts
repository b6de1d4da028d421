import type { Database } from '../db/index.ts';
import type { News } from './news.ts';
import { eventsAfter, findRun, hasEnded, runJson } from './rows.ts';

const EVENTS_AT_ONCE = 500;
const KEEP_ALIVE_MS = 15_000;

/**
 * A run as server-sent events: every trainer event once, numbered, and under `run` the run itself whenever it changed.
 * Ends when the run has; a reader that was away goes on behind the last number it saw.
 */
export async function* runStream(
  db: Database,
  news: News,
  runId: string,
  after: number
): AsyncGenerator<string> {
  let last = after;
  let shown = '';
  yield 'retry: 1000\n\n';
  while (!news.closed) {
    // Listened to before reading, so that nothing falls between.
    const heard = news.wait(runId, KEEP_ALIVE_MS);
    // Read before its events: a run that has ended has all of them.
    const row = await findRun(db, runId);
    if (!row) return;
    const events = await eventsAfter(db, runId, last, EVENTS_AT_ONCE);
    yield events.map(({ seq, event }) => `id: ${seq}\ndata: ${JSON.stringify(event)}\n\n`).join('');
    last = events.at(-1)?.seq ?? last;
    if (events.length === EVENTS_AT_ONCE) continue;
    const now = JSON.stringify(runJson(row));
    if (now !== shown) yield `event: run\ndata: ${now}\n\n`;
    shown = now;
    if (hasEnded(row)) return;
    if (!(await heard)) yield ': waiting\n\n';
  }
}
