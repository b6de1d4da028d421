import { m } from '$lib/paraglide/messages.js';
import { number } from '$lib/ui/format.ts';
import type { Objective, TrainerEvent } from '$lib/wire/run';
import { latest, type Figures } from './figures.ts';

/** How much of the data is used and what was left out (the trainer's `start` event). */
export type DataReport = Record<string, number>;

export function report(start: TrainerEvent | null, key: 'train_data' | 'eval_data'): DataReport | null {
  return (start?.[key] as DataReport | undefined) ?? null;
}

export function used(objective: Objective, { groups, pairs, completions, tokens }: DataReport): string {
  const counts = { groups: number(groups ?? 0), tokens: number(tokens ?? 0) };
  return objective === 'dpo'
    ? m.runs_data_pairs({ ...counts, pairs: number(pairs ?? 0) })
    : m.runs_data_outputs({ ...counts, outputs: number(completions ?? 0) });
}

const reasons: [string, (inputs: { n: string }) => string][] = [
  ['dropped_too_long', m.runs_dropped_too_long],
  ['dropped_no_target', m.runs_dropped_no_target],
  ['dropped_pairs', m.runs_dropped_pairs],
  ['dropped_groups', m.runs_dropped_groups],
  ['truncated_completions', m.runs_truncated]
];

export function dropped(data: DataReport): string[] {
  return reasons.filter(([key]) => data[key]).map(([key, say]) => say({ n: number(data[key]!) }));
}

export function memoryOf(
  start: TrainerEvent | null,
  figures: Figures
): { used: number; planned: number } | null {
  const planned = (start?.memory as { total_bytes?: number } | undefined)?.total_bytes;
  const now = latest(figures, 'memory_bytes');
  return planned !== undefined && now !== null ? { used: now, planned } : null;
}

/** The job with every default, by name; what is not set is left out. */
export function settled(start: TrainerEvent): [string, string][] {
  const job = start.job as Record<string, unknown>;
  return Object.entries(job)
    .filter(([, value]) => value !== null && JSON.stringify(value) !== '{}')
    .map(([key, value]): [string, string] => [key, typeof value === 'string' ? value : JSON.stringify(value)])
    .sort(([a], [b]) => a.localeCompare(b));
}
