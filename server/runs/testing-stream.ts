import type { Run, TrainerEvent } from '#wire/run.ts';
import type { TestApp } from '../testing-app.ts';

export interface Streamed {
  events: { id: number; data: TrainerEvent }[];
  runs: Run[];
}

/** Reads a run's server-sent events to their end, as a page would. */
export async function readStream(t: TestApp, runId: string, after?: number): Promise<Streamed> {
  const headers: Record<string, string> = after === undefined ? {} : { 'last-event-id': String(after) };
  const { status, response } = await t.call('GET', `/api/v1/runs/${runId}/events`, { headers });
  if (status !== 200) throw new Error(`The events answered ${status}.`);
  return parseStream(await response.text());
}

export function parseStream(text: string): Streamed {
  const streamed: Streamed = { events: [], runs: [] };
  for (const block of text.split('\n\n')) {
    const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]));
    const data = fields.get('data');
    if (data === undefined) continue;
    if (fields.get('event') === 'run') streamed.runs.push(JSON.parse(data));
    else streamed.events.push({ id: Number(fields.get('id')), data: JSON.parse(data) });
  }
  return streamed;
}
