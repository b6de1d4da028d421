import type { Measured } from './ratings.ts';

/** One rater's ranks, a place for each object, 1 the best and equal for ties; null where they ranked it nowhere. */
export type Ranks = readonly (number | null)[];

/**
 * Kendall's tau-b between two rankings, over the objects that both ranked:
 * (concordant - discordant) / sqrt((n0 - ties of x) (n0 - ties of y)) (Kendall 1945, "The treatment of ties in ranking problems").
 */
export function tauB(x: Ranks, y: Ranks): Measured {
  const both = x.flatMap((rank, at) => (rank === null || y[at] == null ? [] : [{ x: rank, y: y[at] }]));
  if (both.length < 2) return { undefined: 'no_overlap' };
  let balance = 0;
  let [orderedByX, orderedByY] = [0, 0];
  both.forEach((a, at) => {
    for (const b of both.slice(at + 1)) {
      const [dx, dy] = [Math.sign(a.x - b.x), Math.sign(a.y - b.y)];
      balance += dx * dy;
      orderedByX += Math.abs(dx);
      orderedByY += Math.abs(dy);
    }
  });
  if (!orderedByX || !orderedByY) return { undefined: 'no_variation' };
  return { value: balance / Math.sqrt(orderedByX * orderedByY) };
}

/** The mean tau-b of every two raters between whom there is one. */
export function meanTauB(rankings: readonly Ranks[]): Measured {
  const between = rankings.flatMap((x, at) => rankings.slice(at + 1).map((y) => tauB(x, y)));
  const values = between.flatMap((tau) => ('value' in tau ? [tau.value] : []));
  if (values.length) return { value: values.reduce((sum, tau) => sum + tau, 0) / values.length };
  return (
    between.find((tau) => 'undefined' in tau && tau.undefined === 'no_variation') ?? {
      undefined: 'no_overlap'
    }
  );
}

/**
 * Kendall's coefficient of concordance, corrected for ties: W = 12 S / (m² (n³ - n) - m Σ (t³ - t)), S the squared deviations of the
 * rank sums of n objects by m raters, t the sizes of each rater's ties (Kendall & Gibbons 1990, "Rank Correlation Methods", chapter 6).
 * It counts the objects that every rater ranked, by the mid-ranks they have among those.
 */
export function kendallW(rankings: readonly Ranks[]): Measured {
  const m = rankings.length;
  const shared = (rankings[0] ?? []).flatMap((_, at) =>
    rankings.every((ranks) => ranks[at] != null) ? [at] : []
  );
  const n = shared.length;
  if (m < 2 || n < 2) return { undefined: 'no_overlap' };

  const sums = shared.map(() => 0);
  let ties = 0;
  for (const ranks of rankings) {
    const own = shared.map((at) => ranks[at]!);
    own.forEach((rank, at) => {
      const size = own.filter((other) => other === rank).length;
      sums[at]! += own.filter((other) => other < rank).length + (size + 1) / 2;
      ties += size ** 2 - 1;
    });
  }
  const mean = (m * (n + 1)) / 2;
  const deviations = sums.reduce((sum, rankSum) => sum + (rankSum - mean) ** 2, 0);
  const most = m ** 2 * (n ** 3 - n) - m * ties;
  return most === 0 ? { undefined: 'no_variation' } : { value: (12 * deviations) / most };
}
