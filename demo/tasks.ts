import type { Text } from '../src/lib/text/index.ts';
import { scenarios } from './corpus.ts';
import { FAMILIES, type Scenario } from './grammar/index.ts';
import { rank } from './judge.ts';
import type { Trainer } from './trainer.ts';

/** A line of demo/tasks.jsonl: the K-outputs import shape; what is beside prompt and outputs becomes metadata. */
export interface DemoTask {
  prompt: string;
  outputs: { text: string; source: string }[];
  family: string;
  scenario: number;
  synthetic: true;
}

const OUTPUTS = 4;
const DRAWS = 16;
const TEMPERATURE = 0.9;

export const promptIds = (text: Text, { prompt }: Scenario) =>
  text.prompt([{ role: 'user', content: prompt }]);

/**
 * Tasks of four different answers of the base model, in the order in which they were drawn, the families in turn. A
 * prompt whose answers are all equally good has nothing to rank and gives no task.
 */
export async function sampleTasks(
  trainer: Trainer,
  { model, text, from, count, seed }: { model: string; text: Text; from: number; count: number; seed: number }
): Promise<DemoTask[]> {
  const asked = scenarios(from, 2 * count);
  const drawn = await trainer.generate({
    ...{ model, samples: DRAWS, temperature: TEMPERATURE, seed },
    prompts: asked.map((scenario) => promptIds(text, scenario))
  });
  const tasks = asked.flatMap((scenario, i) => {
    const answers = drawn[i]!.map((ids) => text.decode(ids).trim()).filter(Boolean);
    const different = [...new Set(answers)].slice(0, OUTPUTS);
    const worthRanking = different.length === OUTPUTS && rank(scenario, different).length > 1;
    return worthRanking ? [taskOf(scenario, different)] : [];
  });
  const perFamily = count / FAMILIES.length;
  const columns = FAMILIES.map((family) =>
    tasks.filter((task) => task.family === family).slice(0, perFamily)
  );
  return Array.from({ length: perFamily }, (_, i) => columns.flatMap((column) => column[i] ?? [])).flat();
}

const taskOf = ({ prompt, family, number }: Scenario, answers: string[]): DemoTask => ({
  prompt,
  outputs: answers.map((text, k) => ({ text, source: `demo base, sample ${k + 1}` })),
  ...{ family, scenario: number, synthetic: true }
});
