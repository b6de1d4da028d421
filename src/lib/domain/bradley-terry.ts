/** How often one of two was preferred to the other. */
export interface Comparison {
  winner: string;
  loser: string;
  times: number;
}

/** Strengths on the scale of log odds, and how sure they are. */
export interface StrengthFit {
  names: string[];
  strengths: number[];
  covariance: number[][];
  /** Variance of a strength of which nothing is known. */
  priorVariance: number;
}

/** With it, what is said of two of whom nothing is known covers preferences of 6 to 94 in 100. */
const PRIOR_VARIANCE = 1;
const STEPS_MAX = 50;
const SETTLED = 1e-9;
/** Standard normal quantile of a two-sided 95 % interval. */
const Z = 1.959964;

/**
 * The Bradley-Terry model, P(i preferred to j) = 1 / (1 + exp(s_j - s_i)), by Newton's method with steps halved where they overshoot; the
 * covariance is the inverse of the information. Strengths have a normal prior around 0 (Laplace's approximation of the posterior): without one,
 * they are infinite where one of them has only wins, and undefined where two were never compared, not even through others (Hunter 2004,
 * "MM algorithms for generalized Bradley-Terry models", assumption 1).
 */
export function fitStrengths(
  comparisons: readonly Comparison[],
  priorVariance = PRIOR_VARIANCE
): StrengthFit {
  const names = [...new Set(comparisons.flatMap(({ winner, loser }) => [winner, loser]))].sort();
  const place = new Map(names.map((name, at) => [name, at]));
  const games = comparisons.map(({ winner, loser, times }) => ({
    ...{ won: place.get(winner)!, lost: place.get(loser)!, times }
  }));
  let strengths = names.map(() => 0);
  let now = logPosterior(games, strengths, priorVariance);
  for (let step = 0; step < STEPS_MAX; step++) {
    const { gradient, information } = derivatives(games, strengths, priorVariance);
    const change = multiply(inverse(information), gradient);
    let share = 1;
    let next = moved(strengths, change, share);
    while (logPosterior(games, next, priorVariance) < now - SETTLED && share > SETTLED) {
      share /= 2;
      next = moved(strengths, change, share);
    }
    strengths = next;
    now = logPosterior(games, strengths, priorVariance);
    if (Math.max(...change.map(Math.abs), 0) * share < SETTLED) break;
  }
  const covariance = inverse(derivatives(games, strengths, priorVariance).information);
  return { names, strengths, covariance, priorVariance };
}

type Games = { won: number; lost: number; times: number }[];

const moved = (from: number[], by: number[], share: number) => from.map((at, i) => at + share * by[i]!);

const logistic = (x: number) => 1 / (1 + Math.exp(-x));

function logPosterior(games: Games, strengths: number[], priorVariance: number): number {
  const prior = strengths.reduce((sum, s) => sum - s ** 2 / (2 * priorVariance), 0);
  return games.reduce(
    (sum, { won, lost, times }) => sum - times * Math.log1p(Math.exp(strengths[lost]! - strengths[won]!)),
    prior
  );
}

function derivatives(games: Games, strengths: number[], priorVariance: number) {
  const gradient = strengths.map((s) => -s / priorVariance);
  const information = strengths.map((_, i) => strengths.map((_, j) => (i === j ? 1 / priorVariance : 0)));
  for (const { won, lost, times } of games) {
    const p = logistic(strengths[won]! - strengths[lost]!);
    gradient[won]! += times * (1 - p);
    gradient[lost]! -= times * (1 - p);
    const weight = times * p * (1 - p);
    information[won]![won]! += weight;
    information[lost]![lost]! += weight;
    information[won]![lost]! -= weight;
    information[lost]![won]! -= weight;
  }
  return { gradient, information };
}

const multiply = (matrix: number[][], vector: number[]) =>
  matrix.map((row) => row.reduce((sum, cell, j) => sum + cell * vector[j]!, 0));

/** Of a positive definite matrix, so that no pivot is zero. */
function inverse(matrix: readonly (readonly number[])[]): number[][] {
  const rows = matrix.map((row, i) => [...row, ...row.map((_, j) => (i === j ? 1 : 0))]);
  rows.forEach((pivot, i) => {
    const by = pivot[i]!;
    pivot.forEach((cell, j) => (pivot[j] = cell / by));
    for (const [k, row] of rows.entries()) {
      const factor = row[i]!;
      if (k !== i && factor) row.forEach((cell, j) => (row[j] = cell - factor * pivot[j]!));
    }
  });
  return rows.map((row) => row.slice(matrix.length));
}

/** How much stronger one is than another, and the standard error of that; who is not in the fit has the prior alone. */
export function difference(fit: StrengthFit, a: string, b: string): { mean: number; error: number } {
  const [i, j] = [fit.names.indexOf(a), fit.names.indexOf(b)];
  const strength = (at: number) => fit.strengths[at] ?? 0;
  const variance = (at: number) => fit.covariance[at]?.[at] ?? fit.priorVariance;
  const together = fit.covariance[i]?.[j] ?? 0;
  const spread = variance(i) + variance(j) - 2 * together;
  return { mean: strength(i) - strength(j), error: Math.sqrt(Math.max(0, spread)) };
}

/** From 0, surely known, to 1: the width of the 95 % interval of P(a preferred to b), which is that of the difference. */
export function preferenceUncertainty(fit: StrengthFit, a: string, b: string): number {
  const { mean, error } = difference(fit, a, b);
  return logistic(mean + Z * error) - logistic(mean - Z * error);
}
