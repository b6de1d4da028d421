import type { Text } from '../src/lib/text/index.ts';
import type { Scenario } from './grammar/index.ts';
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

/** Four different answers of the base model to each prompt, in the order in which they were drawn. */
export async function sampleTasks(
  trainer: Trainer,
  model: string,
  text: Text,
  scenarios: readonly Scenario[],
  seed: number
): Promise<DemoTask[]> {
  const drawn = await trainer.generate({
    ...{ model, samples: DRAWS, temperature: TEMPERATURE, seed },
    prompts: scenarios.map((scenario) => promptIds(text, scenario))
  });
  return scenarios.map(({ prompt, family, number }, i) => {
    const texts = drawn[i]!.map((ids) => text.decode(ids).trim());
    const different = [...new Set(texts)].filter(Boolean).slice(0, OUTPUTS);
    const outputs = different.map((text, k) => ({ text, source: `demo base, sample ${k + 1}` }));
    return { prompt, outputs, family, scenario: number, synthetic: true };
  });
}
