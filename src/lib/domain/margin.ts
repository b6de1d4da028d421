/** What a model says of an output: the log-probability of its target tokens together, and how many those are. */
export interface SequenceLogp {
  policy: number;
  /** The same under the reference; null for a loss that has none. */
  reference: number | null;
  tokens: number;
}

/**
 * The reward of an output that a preference-tuned model implies, up to a term of the prompt alone: beta (log pi - log ref) (Rafailov et al.
 * 2023, "Direct Preference Optimization", equation 5); without a reference beta times the mean log pi over its tokens (Meng et al. 2024,
 * "SimPO", equation 4). As the trainer reports `rewards/chosen` (trainer/src/loss/pair.h).
 */
export const implicitReward = ({ policy, reference, tokens }: SequenceLogp, beta: number): number =>
  beta * (reference === null ? policy / tokens : policy - reference);

/** By how much the reward of the best output is above that of the second; null where there are no two. */
export function marginOf(rewards: readonly number[]): number | null {
  const [best, second] = rewards.toSorted((a, b) => b - a);
  return second === undefined ? null : best! - second;
}

/**
 * From 1, where both are as good, to 0: twice the probability, by the Bradley-Terry model that DPO trains, that the second best is preferred to
 * the best. This is uncertainty sampling (Lewis and Gale 1994); where labels are sought for training alone, large margins have been taken instead, to
 * find where the model is surely wrong (Muldrew et al. 2024, "Active Preference Learning for Large Language Models").
 */
export const marginUncertainty = (margin: number): number => 2 / (1 + Math.exp(margin));
