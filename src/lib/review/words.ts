import { m } from '$lib/paraglide/messages.js';
import { letterOf } from '$lib/ui/letters.ts';
import type { Criterion } from '$lib/wire/project';
import type { Ranking, Ratings, Tiers } from '$lib/wire/ranking';
import type { Message } from '$lib/wire/task';

/** "B > A = C", by the letters that the outputs have on the page. */
export function tiersAsLetters(tiers: Tiers, outputs: readonly string[]): string {
  const letter = (output: string) => letterOf(outputs.indexOf(output));
  return tiers.map((tier) => tier.map(letter).sort().join(' = ')).join(' > ');
}

/** What a judgement says, in one line. */
export function judgementAsText(ranking: Ranking, outputs: readonly string[]): string {
  if (ranking.verdict === 'all_bad') return m.review_judgement_all_bad();
  if (ranking.verdict === 'cannot_judge') return m.review_judgement_cannot_judge();
  if (ranking.verdict === 'withdrawn') return m.review_judgement_withdrawn();
  const tiers = tiersAsLetters(ranking.tiers, outputs);
  if (ranking.strength === null) return tiers;
  return m.review_judgement_strength({ tiers, how: strengthName(ranking.strength) });
}

const strengths = [m.review_slightly, m.review_clearly, m.review_much];

/** How much better, in words. */
export const strengthName = (strength: number): string => strengths[strength - 1]!();

const roles: Record<Message['role'], () => string> = {
  system: m.review_role_system,
  user: m.review_role_user,
  assistant: m.review_role_assistant
};

export const roleOf = ({ role }: Message) => roles[role]();

export interface Choice {
  value: Ratings[string];
  name: string;
}

/** The values of a scale in their order, as the API stores them. */
export function choicesOf(scale: Criterion['scale']): Choice[] {
  if (scale === 'yes_no')
    return [
      { value: true, name: m.review_yes() },
      { value: false, name: m.review_no() }
    ];
  if (scale === 'likert5') return [1, 2, 3, 4, 5].map((value) => ({ value, name: String(value) }));
  return [
    { value: 'acceptable', name: m.review_acceptable() },
    { value: 'minor', name: m.review_minor() },
    { value: 'major', name: m.review_major() },
    { value: 'unacceptable', name: m.review_unacceptable() }
  ];
}
