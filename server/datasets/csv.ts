import type { TrlPair } from '#wire/pair.ts';

const columns = [
  'prompt',
  'chosen',
  'rejected',
  'task_id',
  'chosen_output',
  'rejected_output',
  'ranking_id',
  'rater',
  'ranked_at',
  'split'
] as const;

export const csvHead = columns.join(',') + '\r\n';

/** One CSV record (RFC 4180); messages stand as JSON. */
export function csvRecord(row: TrlPair & { split: string }): string {
  return columns.map((column) => cell(row[column])).join(',') + '\r\n';
}

/** Spreadsheets run cells that begin like a formula; a quote in front keeps them text. */
function cell(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
