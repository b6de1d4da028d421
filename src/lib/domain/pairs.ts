import type { EditedOutput, RankingKind, RecordedVerdict, Strength, Tiers } from '#wire/ranking.ts';
import { byText } from './order.ts';

/** One version of a judgement, as pairs need it. `submittedAt` is RFC 3339 UTC, so that text order is time order. */
export interface Judgement {
  id: string;
  kind: RankingKind;
  rater: string;
  version: number;
  tiers: Tiers;
  verdict: RecordedVerdict;
  edited: EditedOutput | null;
  /** How much better the first place is than the second, 1 to 3; null: not said. */
  strength: Strength | null;
  afterReveal: boolean;
  submittedAt: string;
}

export interface Votes {
  for: number;
  against: number;
  tie: number;
}

/** `chosen` beats `rejected` (output ids); `by` are the judgements that say so, the earliest first. */
export interface DerivedPair {
  chosen: string;
  rejected: string;
  /** Set where a person's corrected text beats the output it corrects; then `chosen` equals `rejected`. */
  editedText: string | null;
  by: Judgement[];
  votes: Votes;
}

/**
 * The pairs of one task by the default policy: an adjudication, else a consensus, else the majority (more than half
 * of the raters who placed both, ties counted) of raters' last versions before the reveal. Ties and unranked outputs
 * make no pair, all_bad, cannot_judge and withdrawn none; an edited text beats its original. Order: by output as given, so that
 * equal judgements give equal pairs.
 */
export function derivePairs(outputs: readonly string[], judgements: readonly Judgement[]): DerivedPair[] {
  const deciding = decidingJudgements(judgements);
  const placed = deciding
    .filter(({ verdict }) => verdict === 'ranked')
    .map((j) => ({ j, place: placesOf(j) }));
  const pairs: DerivedPair[] = [];
  for (let a = 0; a < outputs.length; a++)
    for (let b = a + 1; b < outputs.length; b++) {
      const pair = majority(outputs[a]!, outputs[b]!, placed);
      if (pair) pairs.push(pair);
    }
  return [...pairs, ...editedPairs(outputs, judgements)];
}

/** The judgements that the policy counts: one adjudication, or one consensus, or each rater's last before the reveal. */
export function decidingJudgements(judgements: readonly Judgement[]): Judgement[] {
  for (const kind of ['adjudication', 'consensus'] as const) {
    const last = judgements
      .filter((j) => j.kind === kind)
      .sort(bySubmission)
      .at(-1);
    if (last) return [last];
  }
  return lastByRater(judgements);
}

function lastByRater(judgements: readonly Judgement[]): Judgement[] {
  const last = new Map<string, Judgement>();
  for (const judgement of judgements) {
    if (judgement.afterReveal || (judgement.kind !== 'review' && judgement.kind !== 'import')) continue;
    const key = `${judgement.kind}/${judgement.rater}`;
    const before = last.get(key);
    if (!before || before.version < judgement.version) last.set(key, judgement);
  }
  return [...last.values()].sort(bySubmission);
}

function bySubmission(a: Judgement, b: Judgement): number {
  return byText(a.submittedAt, b.submittedAt) || byText(a.rater, b.rater) || byText(a.id, b.id);
}

function placesOf({ tiers }: Judgement): Map<string, number> {
  return new Map(tiers.flatMap((tier, place) => tier.map((output) => [output, place] as const)));
}

function majority(
  a: string,
  b: string,
  placed: { j: Judgement; place: Map<string, number> }[]
): DerivedPair | null {
  const forA: Judgement[] = [];
  const forB: Judgement[] = [];
  let tie = 0;
  for (const { j, place } of placed) {
    const placeA = place.get(a);
    const placeB = place.get(b);
    if (placeA === undefined || placeB === undefined) continue;
    if (placeA < placeB) forA.push(j);
    else if (placeB < placeA) forB.push(j);
    else tie++;
  }
  const half = (forA.length + forB.length + tie) / 2;
  const pair = (chosen: string, rejected: string, by: Judgement[], against: number): DerivedPair => ({
    ...{ chosen, rejected, editedText: null, by },
    votes: { for: by.length, against, tie }
  });
  if (forA.length > half) return pair(a, b, forA, forB.length);
  if (forB.length > half) return pair(b, a, forB, forA.length);
  return null;
}

/**
 * How much better `chosen` is than `rejected`, 1 to 3: the mean over the judgements whose strength is about these two, their first
 * place and their second; null where none is.
 */
export function strengthOf(chosen: string, rejected: string, by: readonly Judgement[]): number | null {
  const said = by.flatMap(({ tiers, strength }) =>
    strength !== null && tiers[0]?.[0] === chosen && tiers[1]?.includes(rejected) ? [strength] : []
  );
  return said.length ? said.reduce((sum, one) => sum + one, 0) / said.length : null;
}

function editedPairs(outputs: readonly string[], judgements: readonly Judgement[]): DerivedPair[] {
  const known = new Set(outputs);
  return lastByRater(judgements).flatMap((j) => {
    if (!j.edited || j.verdict === 'cannot_judge' || !known.has(j.edited.output)) return [];
    const { output, text } = j.edited;
    const votes = { for: 1, against: 0, tie: 0 };
    return [{ chosen: output, rejected: output, editedText: text, by: [j], votes }];
  });
}
