import { goodAnswer, noisyAnswer } from './answers.ts';
import { FAMILIES, scenarioOf, type Family, type Scenario } from './grammar/index.ts';
import { random } from './random.ts';

export interface Example {
  prompt: string;
  completions: string[];
}

/** Scenario numbers of the demo's tasks and of its measurements begin here: the base model has seen none of them. */
export const TASKS_FROM = 1_000_000;
export const MEASURED_FROM = 2_000_000;

/** `count` scenarios, the families in turn, each numbered from `first` on. */
export function scenarios(first: number, count: number, turns = FAMILIES): Scenario[] {
  const next = new Map<Family, number>();
  return Array.from({ length: count }, (_, i) => {
    const family = turns[i % turns.length]!;
    const number = next.get(family) ?? first;
    next.set(family, number + 1);
    return scenarioOf(family, number);
  });
}

/** What the base model learns from at a time, and how. */
export interface Stage {
  /** Prompts from this scenario number on, and different answers of each. */
  from: number;
  prompts: number;
  answers: 'noisy' | 'good';
  turns?: readonly Family[];
  training: Record<string, unknown>;
}

const ANSWERS = 2;

export function examples(
  { from, prompts, answers, turns }: Omit<Stage, 'training'>,
  seed: number
): Example[] {
  const source = random(seed);
  const write = answers === 'noisy' ? noisyAnswer : goodAnswer;
  return scenarios(from, prompts, turns).map((scenario) => ({
    prompt: scenario.prompt,
    completions: [...new Set(Array.from({ length: ANSWERS }, () => write(source, scenario)))]
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
