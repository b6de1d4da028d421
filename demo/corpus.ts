import { goodAnswer, noisyAnswer } from './answers.ts';
import { FAMILIES, scenarioOf, type Scenario } from './grammar/index.ts';
import { random } from './random.ts';

export interface Example {
  prompt: string;
  completions: string[];
}

/** Scenario numbers of the demo's tasks and of its measurements begin here: the base model has seen none of them. */
export const TASKS_FROM = 1_000_000;
export const MEASURED_FROM = 2_000_000;

/** `count` scenarios from `first` on, the families in turn. */
export const scenarios = (first: number, count: number): Scenario[] =>
  Array.from({ length: count }, (_, i) =>
    scenarioOf(FAMILIES[i % FAMILIES.length]!, first + Math.floor(i / FAMILIES.length))
  );

/** What the base model learns from: faulty on purpose, so that a preference round has something to improve. */
export function examples(count: number, completions: number, seed: number): Example[] {
  const source = random(seed);
  return scenarios(0, count).map((scenario) => ({
    prompt: scenario.prompt,
    completions: [...new Set(Array.from({ length: completions }, () => noisyAnswer(source, scenario)))]
  }));
}

/** Texts for the tokenizer: good answers too, since their words must be tokens as well. */
export function* tokenizerTexts(count: number, seed: number): Generator<string> {
  const source = random(seed);
  for (const scenario of scenarios(0, count)) {
    yield scenario.prompt;
    yield noisyAnswer(source, scenario);
    yield goodAnswer(source, scenario);
  }
}
