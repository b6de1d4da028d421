/** What a rater gave: a label, or a number where the scale has an order or distances. */
export type Rating = string | number;

/** Ratings by unit (a task, an output, a pair): one place for each rater, null where they gave none. */
export type Ratings = readonly (readonly (Rating | null)[])[];

/** A statistic, or why there is none. */
export type Measured = { value: number } | { undefined: Reason };

export type Reason =
  /** No unit (or object) was rated by two raters. */
  | 'no_overlap'
  /** Everybody gave one and the same value, so that chance alone would agree as well. */
  | 'no_variation';

export const valueOf = (measured: Measured): number | null => ('value' in measured ? measured.value : null);
