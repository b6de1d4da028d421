import { getLocale } from '$lib/paraglide/runtime.js';

const cache = new Map<string, Intl.NumberFormat>();

function numberFormat(options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = getLocale() + JSON.stringify(options);
  let found = cache.get(key);
  if (!found) cache.set(key, (found = new Intl.NumberFormat(getLocale(), options)));
  return found;
}

export function number(value: number, digits = 0): string {
  return numberFormat({ maximumFractionDigits: digits }).format(value);
}

/** Four significant digits; powers of ten where plain digits would be mostly zeros. */
export function figure(value: number): string {
  const size = Math.abs(value);
  const notation = size !== 0 && (size < 1e-3 || size >= 1e7) ? 'scientific' : 'standard';
  return numberFormat({ maximumSignificantDigits: 4, notation }).format(value);
}

export function percent(share: number): string {
  return numberFormat({ style: 'percent', maximumFractionDigits: 0 }).format(share);
}

/** Decimal units, as disks and networks count. */
export function bytes(count: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  return numberFormat({ style: 'unit', unit: units[step]!, maximumFractionDigits: step ? 1 : 0 }).format(
    count / 1000 ** step
  );
}

/** The two largest units of a number of seconds. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [string, number][] = [
    ['day', Math.floor(whole / 86_400)],
    ['hour', Math.floor(whole / 3_600) % 24],
    ['minute', Math.floor(whole / 60) % 60],
    ['second', whole % 60]
  ];
  const first = parts.findIndex(([, count]) => count > 0);
  const shown = first < 0 ? parts.slice(3) : parts.slice(first, first + 2).filter(([, count]) => count > 0);
  return shown
    .map(([unit, count]) => numberFormat({ style: 'unit', unit, unitDisplay: 'short' }).format(count))
    .join(' ');
}

export function dateTime(iso: string): string {
  return new Intl.DateTimeFormat(getLocale(), { dateStyle: 'medium', timeStyle: 'short' }).format(
    new Date(iso)
  );
}

/** Of a day (ISO 8601), which is the same day everywhere. */
export function day(iso: string, options: Intl.DateTimeFormatOptions = { dateStyle: 'medium' }): string {
  return new Intl.DateTimeFormat(getLocale(), { ...options, timeZone: 'UTC' }).format(new Date(iso));
}

/** "3 minutes ago"; the date itself once a week has passed. */
export function ago(iso: string, now = Date.now()): string {
  const seconds = (Date.parse(iso) - now) / 1000;
  const units: [Intl.RelativeTimeFormatUnit, number, number][] = [
    ['second', 1, 60],
    ['minute', 60, 3_600],
    ['hour', 3_600, 86_400],
    ['day', 86_400, 7 * 86_400]
  ];
  const fitting = units.find(([, , below]) => Math.abs(seconds) < below);
  if (!fitting) return dateTime(iso);
  const format = new Intl.RelativeTimeFormat(getLocale(), { numeric: 'auto' });
  return format.format(Math.round(seconds / fitting[1]), fitting[0]);
}
