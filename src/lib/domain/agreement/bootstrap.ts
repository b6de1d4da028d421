import { randomFrom } from '../random.ts';
import type { Measured } from './ratings.ts';

/** Of how many replicates a statistic may be undefined before its interval is. */
const MOST_UNDEFINED = 0.05;

export interface Resampling {
  /** How many times the units are drawn anew. */
  replicates: number;
  /** The same seed draws the same replicates, so that an interval can be shown twice and be the same. */
  seed: number;
  /** The share of replicates inside the interval. */
  confidence: number;
}

export const resampling: Resampling = { replicates: 1000, seed: 1, confidence: 0.95 };

/**
 * A percentile interval for a statistic over units drawn with replacement (Efron & Tibshirani 1993, "An Introduction to the Bootstrap",
 * section 13.3). Units are what the statistic generalises over, so draw tasks, never the votes within one. Null where more than
 * one replicate in twenty has no value: an interval over the rest would look surer than the data are.
 */
export function bootstrapInterval<U>(
  units: readonly U[],
  statistic: (units: readonly U[]) => Measured,
  { replicates, seed, confidence }: Resampling = resampling
): [low: number, high: number] | null {
  if (units.length < 2) return null;
  const random = randomFrom(seed);
  const values: number[] = [];
  for (let i = 0; i < replicates; i++) {
    const measured = statistic(units.map(() => units[Math.floor(random() * units.length)]!));
    if ('value' in measured) values.push(measured.value);
  }
  if (values.length < replicates * (1 - MOST_UNDEFINED)) return null;
  values.sort((a, b) => a - b);
  return [quantile(values, (1 - confidence) / 2), quantile(values, (1 + confidence) / 2)];
}

/** Between the two nearest values, by the line through them (Hyndman & Fan 1996, type 7). */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)]!, sorted[Math.ceil(at)]!];
  return low + (at - Math.floor(at)) * (high - low);
}
