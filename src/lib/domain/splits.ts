import type { Tiers } from '#wire/ranking.ts';
import { tiersFromRanks } from './tiers.ts';

/** How raters order two outputs: how many place `a` above `b`, below it, and level with it. */
export interface Split {
  a: string;
  b: string;
  above: number;
  below: number;
  level: number;
}

/** An output's place in a ranking, ties and all: the number of its tier; null where it is not placed. */
const tierOf = (tiers: Tiers, output: string): number | null => {
  const at = tiers.findIndex((tier) => tier.includes(output));
  return at < 0 ? null : at;
};

/** Pairs of outputs over which raters contradict each other, the most evenly divided first, then by the order of `outputs`. */
export function splitsOf(rankings: readonly Tiers[], outputs: readonly string[]): Split[] {
  const pairs = outputs.flatMap((a, at) => outputs.slice(at + 1).map((b) => splitOf(rankings, a, b)));
  const minority = ({ above, below }: Split) => Math.min(above, below);
  return pairs.filter(minority).sort((x, y) => minority(y) - minority(x));
}

function splitOf(rankings: readonly Tiers[], a: string, b: string): Split {
  const split = { a, b, above: 0, below: 0, level: 0 };
  for (const tiers of rankings) {
    const [atA, atB] = [tierOf(tiers, a), tierOf(tiers, b)];
    if (atA === null || atB === null) continue;
    split[atA < atB ? 'above' : atA > atB ? 'below' : 'level']++;
  }
  return split;
}

/** How many raters place each output first, alone or tied, most first. */
export function firsts(rankings: readonly Tiers[]): { output: string; count: number }[] {
  const counts = new Map<string, number>();
  for (const output of rankings.flatMap((tiers) => tiers[0] ?? []))
    counts.set(output, (counts.get(output) ?? 0) + 1);
  return [...counts].map(([output, count]) => ({ output, count })).sort((a, b) => b.count - a.count);
}

/**
 * Where a consensus may start from: outputs by the mean of their mid-ranks, equal means tied (Borda's count, with ties as Kendall 1945
 * ranks them). What a rater left out shares the places after what they placed; what nobody placed stays out.
 */
export function meanTiers(rankings: readonly Tiers[], outputs: readonly string[]): Tiers {
  const placed = outputs.filter((output) => rankings.some((tiers) => tierOf(tiers, output) !== null));
  const sums = new Map(placed.map((output) => [output, 0]));
  for (const tiers of rankings) {
    const left = placed.filter((output) => tierOf(tiers, output) === null);
    let before = 0;
    for (const tier of [...tiers, ...(left.length ? [left] : [])]) {
      for (const output of tier) sums.set(output, sums.get(output)! + before + (tier.length + 1) / 2);
      before += tier.length;
    }
  }
  return tiersFromRanks(Object.fromEntries(sums));
}
