import type { Measured, Rating, Ratings } from './ratings.ts';

export type Level = 'nominal' | 'ordinal' | 'interval';

/**
 * Krippendorff's alpha: 1 - observed / expected disagreement, for any number of raters, with any of their ratings missing
 * (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", by its coincidence matrix).
 */
export function alpha(ratings: Ratings, level: Level): Measured {
  return alphaOver([ratings], level)([0]);
}

/**
 * Alpha over groups of units (the outputs of a task), as often as they are drawn: each group is counted once, so that a bootstrap
 * of many replicates costs their sums alone.
 */
export function alphaOver(groups: readonly Ratings[], level: Level): (drawn: readonly number[]) => Measured {
  const pairable = groups.map((ratings) => ratings.map(given).filter((unit) => unit.length > 1));
  const values = scaleOf(pairable.flat(), level);
  const counted = pairable.map((units) => coincidenceMatrix(units, values));
  return (drawn) =>
    alphaFrom(
      values,
      sumOf(
        drawn.map((at) => counted[at]!),
        values.length
      ),
      level
    );
}

function sumOf(matrices: readonly number[][][], size: number): number[][] {
  const sum = Array.from({ length: size }, () => Array.from({ length: size }, () => 0));
  for (const matrix of matrices)
    for (let c = 0; c < size; c++) for (let k = 0; k < size; k++) sum[c]![k]! += matrix[c]![k]!;
  return sum;
}

/** A value that does not occur has no weight, and lies between no two that do. */
function alphaFrom(values: readonly Rating[], coincidences: number[][], level: Level): Measured {
  const marginals = coincidences.map((row) => row.reduce((sum, count) => sum + count, 0));
  const occurring = marginals.filter((count) => count > 0).length;
  if (!occurring) return { undefined: 'no_overlap' };
  if (occurring < 2) return { undefined: 'no_variation' };
  const n = marginals.reduce((sum, count) => sum + count, 0);
  const distance = squaredDistance(level, values, marginals);

  let observed = 0;
  let expected = 0;
  for (let c = 0; c < values.length; c++)
    for (let k = c + 1; k < values.length; k++) {
      observed += coincidences[c]![k]! * distance(c, k);
      expected += marginals[c]! * marginals[k]! * distance(c, k);
    }
  return { value: 1 - ((n - 1) * observed) / expected };
}

const given = (unit: readonly (Rating | null)[]): Rating[] => unit.filter((rating) => rating !== null);

/** The values in use, in the order of their scale. */
function scaleOf(units: readonly Rating[][], level: Level): Rating[] {
  const values = [...new Set(units.flat())];
  if (level === 'nominal') return values;
  const odd = values.find((value) => typeof value !== 'number' || !Number.isFinite(value));
  if (odd !== undefined)
    throw new RangeError(
      `alpha (${level}): ${JSON.stringify(odd)} is no number; give each label its number.`
    );
  return (values as number[]).sort((a, b) => a - b);
}

/** How often two raters of one unit gave c and k, each unit weighing as many pairs as it has ratings. */
function coincidenceMatrix(units: readonly Rating[][], values: readonly Rating[]): number[][] {
  const placeOf = new Map(values.map((value, at) => [value, at]));
  const matrix = values.map(() => values.map(() => 0));
  for (const unit of units) {
    const weight = 1 / (unit.length - 1);
    const places = unit.map((rating) => placeOf.get(rating)!);
    places.forEach((c, i) => places.forEach((k, j) => i !== j && (matrix[c]![k]! += weight)));
  }
  return matrix;
}

/** The squared difference between the values at two places of the scale (Krippendorff 2011: its metric differences). */
function squaredDistance(level: Level, values: readonly Rating[], marginals: readonly number[]) {
  if (level === 'nominal') return () => 1;
  if (level === 'interval')
    return (c: number, k: number) => ((values[c] as number) - (values[k] as number)) ** 2;
  return (c: number, k: number) => {
    const between = marginals.slice(c, k + 1).reduce((sum, count) => sum + count, 0);
    return (between - (marginals[c]! + marginals[k]!) / 2) ** 2;
  };
}
