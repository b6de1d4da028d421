import { FAULTS } from './answers.ts';
import { chestConcepts } from './grammar/chest.ts';
import { clauseConcepts } from './grammar/clause.ts';
import type { Family, Point, Scenario, Slot } from './grammar/point.ts';

/** What is wrong with an answer, by the facts that its prompt was made from. */
export interface Judgement {
  omitted: string[];
  /** Said, but with another side, number, party or place, or without it. */
  wrong: string[];
  /** Said although nothing in the prompt gives reason for it. */
  invented: string[];
  hedged: number;
  /** Sentences that say nothing, or what was said already. */
  padding: number;
  /** Sentences that cannot be understood. */
  unclear: number;
  errors: number;
  /** Higher is better; what harms a patient or a client weighs most. */
  score: number;
}

const CONCEPTS = { chest_radiograph: chestConcepts, contract_clause: clauseConcepts };
const HEDGES = /\b(possible|possibly|may|might|perhaps|seems?|could|cannot be excluded)\b/i;
const WEIGHTS = { omitted: 3, wrong: 4, invented: 4, hedged: 1, padding: 1, unclear: 3 };

/** Judges as a careful expert would, who knows the truth of the scenario. */
export function judge(scenario: Scenario, answer: string): Judgement {
  const said = new Set<string>();
  const found: Judgement = {
    ...{ omitted: [], wrong: [], invented: [] },
    ...{ hedged: 0, padding: 0, unclear: 0, errors: 0, score: 0 }
  };
  for (const sentence of sentencesOf(scenario.family, answer)) {
    if (HEDGES.test(sentence)) found.hedged++;
    read(sentence, scenario, said, found);
  }
  found.omitted = scenario.points.map(({ concept }) => concept).filter((concept) => !said.has(concept));
  const counts = {
    ...{ omitted: found.omitted.length, wrong: found.wrong.length, invented: found.invented.length },
    ...{ hedged: found.hedged, padding: found.padding, unclear: found.unclear }
  };
  for (const [fault, count] of Object.entries(counts)) {
    found.errors += count;
    found.score -= count * WEIGHTS[fault as keyof typeof WEIGHTS];
  }
  return found;
}

function read(sentence: string, { family, points }: Scenario, said: Set<string>, found: Judgement): void {
  const point = points.find(({ mention }) => mention.test(sentence));
  if (point) {
    if (said.has(point.concept)) found.padding++;
    else if (!saysIt(point, sentence)) found.wrong.push(point.concept);
    said.add(point.concept);
    return;
  }
  const other = CONCEPTS[family].find(({ mention }) => mention.test(sentence));
  const { openings, closings } = FAULTS[family];
  if (other) found.invented.push(other.concept);
  else if (openings.includes(sentence) || closings.includes(sentence)) found.padding++;
  else found.unclear++;
}

const saysIt = (point: Point, sentence: string) =>
  Object.values(point.slots).every((slot) => holds(slot, sentence));

/** Has the right value of the slot, and none that it could be mistaken for. */
function holds({ value, values }: Slot, sentence: string): boolean {
  const others = values.filter((other) => other !== value && !value.includes(other));
  return has(sentence, value) && !others.some((other) => has(sentence, other));
}

function has(sentence: string, value: string): boolean {
  const literal = value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`(?<![\\w.])${literal}(?!\\w)`, 'i').test(sentence);
}

/** Lines of an impression (their numbers left out), sentences of an explanation. */
function sentencesOf(family: Family, answer: string): string[] {
  const parts = family === 'chest_radiograph' ? answer.split('\n') : answer.split(/(?<=\.)\s+(?=[A-Z0-9])/);
  return parts.map((part) => part.replace(/^\s*\d+\.\s/, '').trim()).filter(Boolean);
}

/** Tiers of answer indices, best first; equally good answers share one. */
export function rank(scenario: Scenario, answers: readonly string[]): number[][] {
  const scores = answers.map((answer) => judge(scenario, answer).score);
  const levels = [...new Set(scores)].sort((a, b) => b - a);
  return levels.map((level) => scores.flatMap((score, i) => (score === level ? [i] : [])));
}
