/** Days of which a pace is the mean, today among them. */
export const PACE_DAYS = 7;

const DAY_MS = 86_400_000;

/**
 * Judgements a day: the mean over the last `PACE_DAYS` days, from the first of them on which anything was judged, days
 * off among them. Null where nothing was judged in them.
 */
export function paceOf(counts: readonly number[]): number | null {
  const recent = counts.slice(-PACE_DAYS);
  const first = recent.findIndex((count) => count > 0);
  if (first < 0) return null;
  const days = recent.slice(first);
  return days.reduce((sum, count) => sum + count, 0) / days.length;
}

/** The day (ISO 8601) on which the last of `left` judgements comes in at a pace; null where it never would. */
export function doneOn(today: string, left: number, pace: number | null): string | null {
  if (left <= 0 || !pace) return null;
  const day = new Date(Date.parse(today) + Math.ceil(left / pace) * DAY_MS);
  return Number.isNaN(day.getTime()) ? null : day.toISOString().slice(0, 10);
}

/** Judgements a day that bring in `left` by the end of the due day, today counted; null where that day has gone. */
export function neededPerDay(today: string, due: string, left: number): number | null {
  const days = (Date.parse(due) - Date.parse(today)) / DAY_MS + 1;
  return days >= 1 ? Math.ceil(left / days) : null;
}
