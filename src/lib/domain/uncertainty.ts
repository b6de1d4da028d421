import { preferenceUncertainty, type StrengthFit } from './bradley-terry.ts';
import { marginUncertainty } from './margin.ts';
import { decidingJudgements, type Judgement } from './pairs.ts';

export interface SourcedOutput {
  id: string;
  source: string | null;
}

/** What a model makes of a task counts half as much as what people said. */
const MARGIN_WEIGHT = 0.5;

/**
 * How uncertain it is what people prefer among a task's outputs, 0 to 1: the weighted mean of what is known of
 * - how far those who judged it disagree (`disagreement`),
 * - the widest interval that the strengths of its outputs' sources leave between two of them (`preferenceUncertainty`), and
 * - how close the current adapter finds its two best outputs (`marginUncertainty`).
 * Null where nothing is known.
 */
export function uncertaintyOf(
  outputs: readonly SourcedOutput[],
  judgements: readonly Judgement[],
  fit: StrengthFit | null,
  margin: number | null
): number | null {
  const ids = outputs.map(({ id }) => id);
  const parts = [
    { weight: 1, value: disagreement(ids, judgements) },
    { weight: 1, value: fit && sourceUncertainty(outputs, fit) },
    { weight: MARGIN_WEIGHT, value: margin === null ? null : marginUncertainty(margin) }
  ];
  let [sum, weights] = [0, 0];
  for (const { weight, value } of parts) {
    if (value === null) continue;
    sum += weight * value;
    weights += weight;
  }
  return weights ? sum / weights : null;
}

/**
 * The share of two raters who say different things of two outputs (one better, the other better, a tie), on average over the pairs of outputs that
 * two raters or more placed: 1 minus the mean of Fleiss' P_i (Fleiss 1971, "Measuring nominal scale agreement among many raters"). Null where
 * there is no such pair; a consensus or an adjudication leaves no disagreement.
 */
export function disagreement(outputs: readonly string[], judgements: readonly Judgement[]): number | null {
  const deciding = decidingJudgements(judgements);
  if (deciding.some(({ kind }) => kind === 'consensus' || kind === 'adjudication')) return 0;
  const places = deciding
    .filter(({ verdict }) => verdict === 'ranked')
    .map(({ tiers }) => new Map(tiers.flatMap((tier, place) => tier.map((id) => [id, place] as const))));
  const found: number[] = [];
  for (const [i, a] of outputs.entries())
    for (const b of outputs.slice(i + 1)) {
      const said = places.flatMap((place) =>
        place.has(a) && place.has(b) ? [Math.sign(place.get(a)! - place.get(b)!)] : []
      );
      if (said.length > 1) found.push(1 - agreementOfTwo(countsOf(said)));
    }
  return found.length ? found.reduce((sum, one) => sum + one, 0) / found.length : null;
}

const countsOf = (said: readonly number[]) =>
  [-1, 0, 1].map((sign) => said.filter((one) => one === sign).length);

/** Fleiss' P_i: the share of pairs of raters who chose the same category. */
export function agreementOfTwo(counts: readonly number[]): number {
  const raters = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count) => sum + count * (count - 1), 0) / (raters * (raters - 1));
}

function sourceUncertainty(outputs: readonly SourcedOutput[], fit: StrengthFit): number | null {
  const sources = [...new Set(outputs.map(({ source }) => source))].filter((source) => source !== null);
  let most: number | null = null;
  for (const [i, a] of sources.entries())
    for (const b of sources.slice(i + 1)) most = Math.max(most ?? 0, preferenceUncertainty(fit, a, b));
  return most;
}
