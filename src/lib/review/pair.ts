import { m } from '$lib/paraglide/messages.js';
import { letterOf } from '$lib/ui/letters.ts';
import type { Strength } from '$lib/wire/ranking';
import type { Session } from './session.svelte.ts';
import { strengthName } from './words.ts';

/** One answer to "which of the two is better?". */
export interface Choice {
  /** The output that is better; null: neither. */
  better: string | null;
  strength: Strength | null;
  name: string;
  label: string;
}

/** From the output on the left to the one on the right, so that the keys 1, 2, 3, … go as the eye does. */
export function choicesOf({ shown, outputs, project }: Session): Choice[] {
  const [left, right] = shown as readonly [string, string];
  const side = (better: string, strength: Strength | null): Choice => {
    const letter = letterOf(outputs.indexOf(better));
    if (strength === null)
      return { better, strength, name: m.review_better({ letter }), label: m.review_better({ letter }) };
    const how = strengthName(strength);
    return { better, strength, name: how, label: m.review_better_how({ letter, how }) };
  };
  const tie = { better: null, strength: null, name: m.review_tie(), label: m.review_tie() };
  if (!project.review.strength) return [side(left, null), tie, side(right, null)];
  const how = [3, 2, 1] as const;
  return [...how.map((one) => side(left, one)), tie, ...how.toReversed().map((one) => side(right, one))];
}

/** What the ballot says now; null where it says nothing yet. */
export function chosenOf({ shown, board }: Session, choices: readonly Choice[]): Choice | null {
  const [left, right] = shown.map((output) => board?.placeOf(output) ?? null);
  if (!board || left === null || right === null) return null;
  const better = left === right ? null : left! < right! ? shown[0]! : shown[1]!;
  const { strength } = board.room.draft;
  return (
    choices.find((one) => one.better === better && (better === null || one.strength === strength)) ?? null
  );
}
