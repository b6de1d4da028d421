import type { Tiers } from '#wire/ranking.ts';
import { byText } from './order.ts';

/** Ranks of a room (lower is better, exactly equal is a tie) to tiers, best first; within a tier by id. */
export function tiersFromRanks(ranks: Record<string, number>): Tiers {
  const byRank = new Map<number, string[]>();
  for (const [output, rank] of Object.entries(ranks)) {
    if (!Number.isFinite(rank)) continue;
    const tier = byRank.get(rank);
    if (tier) tier.push(output);
    else byRank.set(rank, [output]);
  }
  return [...byRank].sort(([a], [b]) => a - b).map(([, tier]) => tier.sort(byText));
}

/** Whole numbers from 1 for the tiers, best first. */
export function ranksFromTiers(tiers: Tiers): Record<string, number> {
  return Object.fromEntries(tiers.flatMap((tier, place) => tier.map((output) => [output, place + 1])));
}

/** What is wrong with tiers over these outputs, in one sentence; null where nothing is. */
export function faultInTiers(tiers: Tiers, outputs: readonly string[]): string | null {
  const known = new Set(outputs);
  const seen = new Set<string>();
  for (const output of tiers.flat()) {
    if (!known.has(output)) return `tiers names ${output}, which is not an output of this task.`;
    if (seen.has(output)) return `tiers names ${output} twice; every output has one place at most.`;
    seen.add(output);
  }
  return null;
}
