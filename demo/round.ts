import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Text } from '../src/lib/text/index.ts';
import { MEASURED_FROM, scenarios } from './corpus.ts';
import { scenarioOf, type Family, type Scenario } from './grammar/index.ts';
import type { Group } from './groups.ts';
import { judge, rank, type Judgement } from './judge.ts';
import { promptIds, type DemoTask } from './tasks.ts';
import type { Trainer } from './trainer.ts';

/** How a first preference round on the demo's tasks trains well on two cores; the trainer contract's job keys. */
export const DEMO_ROUND = {
  learning_rate: 7e-4,
  num_train_epochs: 12,
  groups_per_step: 6,
  beta: 0.1,
  r: 16,
  lora_alpha: 32
} as const;

export interface Measured {
  seconds: number;
  steps: number;
  pairs: number;
  heldOut: { pairs: number; accuracy: number; margin: number };
  greedy: { before: Faults; after: Faults };
}

/** Of an answer, on average; `withError` is the share of answers that have any. */
export interface Faults {
  withError: number;
  omitted: number;
  wrong: number;
  invented: number;
  hedged: number;
  padding: number;
  unclear: number;
}

/** Pairs as a project makes them: every strict order between answers of a task, tiers from the grammar's truth. */
export function rankedGroups(text: Text, tasks: readonly DemoTask[]): Group[] {
  return tasks.map(({ prompt, outputs, family, scenario }) => {
    const messages = [{ role: 'user' as const, content: prompt }];
    const texts = outputs.map(({ text }) => text);
    const tiers = rank(scenarioOf(family as Family, scenario), texts);
    return {
      prompt: text.prompt(messages),
      completions: texts.map((answer) => text.completion(messages, answer).ids),
      pairs: tiers.flatMap((tier, i) =>
        tier.flatMap((chosen) =>
          tiers.slice(i + 1).flatMap((lower) => lower.map((rejected): [number, number] => [chosen, rejected]))
        )
      )
    };
  });
}

const pairCount = (groups: readonly Group[]) => groups.reduce((sum, { pairs }) => sum + pairs!.length, 0);
const paired = (groups: readonly Group[]) => groups.filter(({ pairs }) => pairs?.length);

/** Trains a round on the tasks and measures it on others: held-out pairs, and greedy answers to new prompts. */
export async function measureRound(
  trainer: Trainer,
  { model, text, train, heldOut }: { model: string; text: Text; train: DemoTask[]; heldOut: DemoTask[] },
  hyperparameters: Record<string, unknown> = DEMO_ROUND,
  prompts = 100
): Promise<Measured> {
  const groups = paired(rankedGroups(text, train));
  const train_file = await trainer.groups('pairs.safetensors', groups);
  const others = paired(rankedGroups(text, heldOut));
  const eval_file = await trainer.groups('held-out.safetensors', others);
  const started = performance.now();
  const adapter = await trainer.train('round', {
    ...{ model_name_or_path: model, train_file, eval_file, eval_steps: 10, objective: 'dpo' },
    ...hyperparameters
  });
  const seconds = (performance.now() - started) / 1000;
  const fresh = scenarios(MEASURED_FROM, prompts);
  const events = (await readFile(join(trainer.folder, 'round/events.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
  const last = events.findLast((event) => 'eval_loss' in event)!;
  return {
    seconds,
    steps: events.at(-1)!.step!,
    pairs: pairCount(groups),
    heldOut: {
      pairs: pairCount(others),
      accuracy: last['eval_rewards/accuracies']!,
      margin: last['eval_rewards/margins']!
    },
    greedy: {
      before: await greedyFaults(trainer, text, fresh, model),
      after: await greedyFaults(trainer, text, fresh, model, adapter)
    }
  };
}

async function greedyFaults(
  trainer: Trainer,
  text: Text,
  fresh: readonly Scenario[],
  model: string,
  adapter?: string
): Promise<Faults> {
  const prompts = fresh.map((scenario) => promptIds(text, scenario));
  const answers = await trainer.generate({ model, ...(adapter ? { adapter } : {}), prompts, temperature: 0 });
  return faultsOf(fresh.map((scenario, i) => judge(scenario, text.decode(answers[i]![0]!).trim())));
}

export function faultsOf(judged: readonly Judgement[]): Faults {
  const mean = (of: (one: Judgement) => number) =>
    judged.reduce((sum, one) => sum + of(one), 0) / judged.length;
  return {
    withError: mean(({ errors }) => Number(errors > 0)),
    omitted: mean(({ omitted }) => omitted.length),
    wrong: mean(({ wrong }) => wrong.length),
    invented: mean(({ invented }) => invented.length),
    hedged: mean(({ hedged }) => hedged),
    padding: mean(({ padding }) => padding),
    unclear: mean(({ unclear }) => unclear)
  };
}
