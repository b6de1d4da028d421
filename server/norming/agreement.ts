import { alphaOver } from '#domain/agreement/alpha.ts';
import { bootstrapInterval } from '#domain/agreement/bootstrap.ts';
import { kendallW, meanTauB, type Ranks } from '#domain/agreement/rankings.ts';
import { valueOf, type Measured } from '#domain/agreement/ratings.ts';
import { ranksFromTiers } from '#domain/tiers.ts';
import type { Agreement, Figure } from '#wire/norming.ts';
import type { NamedJudgement } from '../rankings/index.ts';
import type { TaskRecord } from '../tasks/index.ts';

/** A member's vote on a task: the latest version that counts, where it ranks something. */
export type Counts = (judgement: NamedJudgement) => boolean;

/** What was said before the reveal: the first vote. */
export const isFirst: Counts = ({ afterReveal }) => !afterReveal;
export const isAny: Counts = () => true;

/** How far the members agree, from the latest version of each that counts. */
export function agreementOf(
  tasks: readonly TaskRecord[],
  judgements: ReadonlyMap<string, NamedJudgement[]>,
  members: readonly string[],
  counts: Counts
): Agreement {
  const votes = tasks.map((task) => ({
    id: task.id,
    ranks: ranksOf(task, judgements.get(task.id) ?? [], members, counts)
  }));
  const measured = votes.filter(({ ranks }) => ranks.length > 1);
  const each = measured.map(({ id, ranks }) => ({ id, w: kendallW(ranks), tau: meanTauB(ranks) }));
  // An output is a unit, the members are its raters; a task is what is drawn anew.
  const alpha = alphaOver(
    measured.map(({ ranks }) => ranks[0]!.map((_, at) => ranks.map((of) => of[at]!))),
    'ordinal'
  );
  const all = each.map((_, at) => at);
  return {
    tasks: measured.length,
    rankings: measured.reduce((sum, { ranks }) => sum + ranks.length, 0),
    alpha: figure(all, alpha),
    w: figure(each, (drawn) => mean(drawn.map(({ w }) => w))),
    tau: figure(each, (drawn) => mean(drawn.map(({ tau }) => tau))),
    by_task: Object.fromEntries(each.map(({ id, w, tau }) => [id, { w: valueOf(w), tau: valueOf(tau) }]))
  };
}

/** One row for each member who ranked anything, a place for each output. */
function ranksOf(
  task: TaskRecord,
  judgements: readonly NamedJudgement[],
  members: readonly string[],
  counts: Counts
): Ranks[] {
  return members.flatMap((member) => {
    const last = judgements
      .filter((one) => one.kind === 'review' && one.rater === member && counts(one))
      .toSorted((a, b) => b.version - a.version)[0];
    if (last?.verdict !== 'ranked' || !last.tiers.length) return [];
    const ranks = ranksFromTiers(last.tiers);
    return [task.outputs.map(({ id }) => ranks[id] ?? null)];
  });
}

function figure<U>(units: readonly U[], statistic: (drawn: readonly U[]) => Measured): Figure {
  const value = valueOf(statistic(units));
  const interval = value === null ? null : bootstrapInterval(units, statistic);
  return { value, low: interval?.[0] ?? null, high: interval?.[1] ?? null };
}

function mean(measured: readonly Measured[]): Measured {
  const values = measured.flatMap((one) => ('value' in one ? [one.value] : []));
  if (!values.length) return { undefined: 'no_overlap' };
  return { value: values.reduce((sum, value) => sum + value, 0) / values.length };
}

/** The task whose mean tau-b changed most, the first of several; null where none did. */
export function movedMost(first: Agreement, second: Agreement): string | null {
  let most = { id: null as string | null, by: 0 };
  for (const [id, { tau }] of Object.entries(first.by_task)) {
    const after = second.by_task[id]?.tau ?? null;
    const by = tau === null || after === null ? 0 : Math.abs(after - tau);
    if (by > most.by + 1e-9) most = { id, by };
  }
  return most.id;
}
