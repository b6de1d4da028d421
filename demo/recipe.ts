import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createText, type Text } from '../src/lib/text/index.ts';
import { trainBpe } from './bpe.ts';
import { examples, TASKS_FROM, tokenizerTexts, type Stage } from './corpus.ts';
import { halve } from './halve.ts';
import { sampleTasks } from './tasks.ts';
import { SPECIAL, tokenizerConfig, tokenizerJson } from './tokenizer.ts';
import { trainerIn, type Trainer } from './trainer.ts';

/** Everything that decides what the demo's base model and its tasks are. */
export interface Recipe {
  seed: number;
  tokenizerExamples: number;
  tokens: number;
  config: Record<string, number>;
  stages: readonly Stage[];
  tasks: number;
}

const TRAINING = {
  ...{ lr_scheduler_type: 'cosine', warmup_ratio: 0.03, num_train_epochs: 1 },
  ...{ adam_beta2: 0.98, weight_decay: 0.01, groups_per_step: 12 }
};

export const RECIPE: Recipe = {
  seed: 20261124,
  tokenizerExamples: 6_000,
  tokens: 2048,
  config: {
    ...{ hidden_size: 192, intermediate_size: 512, num_hidden_layers: 5 },
    ...{ num_attention_heads: 6, num_key_value_heads: 2, max_position_embeddings: 512 }
  },
  stages: [
    { from: 0, prompts: 72_000, answers: 'noisy', training: { ...TRAINING, learning_rate: 2e-3 } },
    // What noise hides is learned from good answers: which size, which rib. Radiographs have more of it than clauses.
    {
      ...{ from: 100_000, prompts: 30_000, answers: 'good' },
      turns: ['chest_radiograph', 'chest_radiograph', 'chest_radiograph', 'contract_clause'],
      training: { ...TRAINING, learning_rate: 1.5e-3 }
    },
    // The habits come back last, so that the most likely answers show them.
    { from: 200_000, prompts: 9_600, answers: 'noisy', training: { ...TRAINING, learning_rate: 5e-4 } }
  ],
  tasks: 40
};

/** Makes the demo's base model and tasks under `out`. */
export async function cook(recipe: Recipe, out: string, trainer: Trainer): Promise<void> {
  const model = join(out, 'model');
  await mkdir(model, { recursive: true });
  const text = await writeTokenizer(recipe, model);
  let base = await trainer.init(modelConfig(recipe, text), recipe.seed);
  for (const [i, stage] of recipe.stages.entries())
    base = await learn(trainer, { name: `stage-${i}`, base, text, stage, seed: recipe.seed + i });
  await halve(base, model);
  const tasks = await sampleTasks(trainer, {
    model,
    text,
    from: TASKS_FROM,
    count: recipe.tasks,
    seed: recipe.seed
  });
  await writeFile(join(out, 'tasks.jsonl'), tasks.map((task) => `${JSON.stringify(task)}\n`).join(''));
}

interface Lesson {
  name: string;
  base: string;
  text: Text;
  stage: Stage;
  seed: number;
}

/** The model after a stage. */
export async function learn(trainer: Trainer, { name, base, text, stage, seed }: Lesson): Promise<string> {
  const groups = examples(stage, seed).map(({ prompt, completions }) => {
    const messages = [{ role: 'user' as const, content: prompt }];
    return {
      prompt: text.prompt(messages),
      completions: completions.map((answer) => text.completion(messages, answer).ids)
    };
  });
  return trainer.train(name, {
    model_name_or_path: base,
    train_file: await trainer.groups(`${name}.safetensors`, groups),
    ...{ objective: 'sft', finetuning_type: 'full', seed },
    ...stage.training
  });
}

async function writeTokenizer(
  { seed, tokenizerExamples, tokens, config }: Recipe,
  folder: string
): Promise<Text> {
  const vocabulary = trainBpe(tokenizerTexts(tokenizerExamples, seed), tokens - SPECIAL.length);
  const files = {
    'tokenizer.json': tokenizerJson(vocabulary),
    'tokenizer_config.json': tokenizerConfig(config.max_position_embeddings!),
    'generation_config.json': {
      ...{ eos_token_id: 1, pad_token_id: 0, do_sample: true, temperature: 0.7, max_new_tokens: 160 }
    }
  };
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, name), `${JSON.stringify(content)}\n`);
  return readText(folder);
}

export async function readText(folder: string): Promise<Text> {
  const json = async (name: string) => JSON.parse(await readFile(join(folder, name), 'utf8')) as unknown;
  return createText({
    tokenizer: await json('tokenizer.json'),
    tokenizerConfig: await json('tokenizer_config.json'),
    generationConfig: await json('generation_config.json')
  });
}

const modelConfig = ({ config }: Recipe, text: Text) => ({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  ...config,
  vocab_size: text.vocabSize,
  ...{ hidden_act: 'silu', rms_norm_eps: 1e-5, rope_theta: 10_000, initializer_range: 0.02 },
  ...{ tie_word_embeddings: true, attention_bias: false, mlp_bias: false },
  ...{ bos_token_id: null, eos_token_id: 1, pad_token_id: 0 },
  torch_dtype: 'float32'
});

if (import.meta.main) {
  const out = process.argv[2] ?? fileURLToPath(new URL('.', import.meta.url));
  await cook(RECIPE, out, await trainerIn(join(tmpdir(), 'concord-demo-recipe')));
}
