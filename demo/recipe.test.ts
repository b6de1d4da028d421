import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSafetensorsHeader } from '../src/lib/tensors/safetensors.ts';
import { examples } from './corpus.ts';
import { cook, readText, RECIPE, type Recipe } from './recipe.ts';
import { trainerIn } from './trainer.ts';

const trainer = new URL('../trainer/build/concord-trainer', import.meta.url).pathname;
const present = existsSync(trainer) || Boolean(process.env.CI);

const SMALL: Recipe = {
  ...RECIPE,
  ...{ tokenizerExamples: 100, tokens: 700, tasks: 4 },
  config: {
    ...{ hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2 },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 768 }
  },
  stages: RECIPE.stages.map((stage) => ({ ...stage, prompts: 24 }))
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'concord-recipe-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('the corpus is the same for the same seed', () => {
  const stage = { from: 0, prompts: 20, answers: 'noisy' as const };
  expect(examples(stage, 5)).toEqual(examples(stage, 5));
  expect(examples(stage, 5)).not.toEqual(examples(stage, 6));
});

test.skipIf(!present)(
  'a small recipe makes a model that fits its tokenizer, and tasks, the same twice',
  async () => {
    const outs = [join(folder, 'first'), join(folder, 'second')];
    for (const out of outs) await cook(SMALL, out, await trainerIn(join(folder, 'trainer'), { threads: 1 }));
    const [first, second] = await Promise.all(outs.map(contents));
    expect(Object.keys(first!)).toEqual([
      ...['model/config.json', 'model/generation_config.json', 'model/model.safetensors'],
      ...['model/tokenizer.json', 'model/tokenizer_config.json', 'tasks.jsonl']
    ]);
    for (const name of Object.keys(first!))
      expect([name, first![name]!.equals(second![name]!)]).toEqual([name, true]);
    const text = await readText(join(outs[0]!, 'model'));
    const header = readSafetensorsHeader(new Uint8Array(first!['model/model.safetensors']!));
    expect(header.tensors.get('model.embed_tokens.weight')).toMatchObject({
      dtype: 'F16',
      shape: [text.vocabSize, 32]
    });
  }
);

async function contents(folder: string): Promise<Record<string, Buffer>> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const files = await Promise.all(
    names.sort().map(async (name) => [name.slice(folder.length + 1), await readFile(name)] as const)
  );
  return Object.fromEntries(files);
}
