import type { Ranking } from '$lib/wire/ranking';

/** One rater at the table: what they said before its reveal, and after where they corrected themselves. */
export interface Seat {
  key: string;
  name: string;
  before: Ranking | null;
  after: Ranking | null;
}

export interface Seated {
  seats: Seat[];
  /** The decision that stands for all: an adjudication, else a consensus. */
  decided: Ranking | null;
}

/** Who sits at a table with which ranking, by name; `rankings` are all versions in the order of submission. */
export function seated(rankings: readonly Ranking[]): Seated {
  const decisions = (kind: Ranking['kind']) => rankings.filter((one) => one.kind === kind).at(-1) ?? null;
  const single = rankings.filter(({ kind }) => kind === 'review' || kind === 'import');
  const byRater = Map.groupBy(single, ({ kind, rater }) => `${kind}/${rater.id ?? rater.name}`);
  const seats = [...byRater].flatMap(([key, versions]) => {
    const last = (late: boolean) =>
      versions.filter(({ after_reveal }) => after_reveal === late).at(-1) ?? null;
    const [before, after] = [last(false), last(true)];
    if (!after && before?.verdict === 'withdrawn') return [];
    return [{ key, name: versions[0]!.rater.name, before, after }];
  });
  return {
    seats: seats.sort((a, b) => a.name.localeCompare(b.name)),
    decided: decisions('adjudication') ?? decisions('consensus')
  };
}

/** The rankings that count for agreement: the last of each rater's before the reveal. */
export const votes = ({ seats }: Seated): Ranking[] =>
  seats.flatMap(({ before }) => (before?.verdict === 'ranked' ? [before] : []));
