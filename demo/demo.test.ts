import { readFileSync, statSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readRow } from '#domain/shapes.ts';
import { NewProject } from '#wire/project.ts';
import { readSafetensorsHeader } from '../src/lib/tensors/safetensors.ts';
import { checkFits, createText } from '../src/lib/text/index.ts';
import { scenarioOf, type Family } from './grammar/index.ts';
import { judge } from './judge.ts';
import type { DemoTask } from './tasks.ts';

const at = (name: string) => new URL(name, import.meta.url).pathname;
const json = (name: string) => JSON.parse(readFileSync(at(name), 'utf8'));
const lines = readFileSync(at('tasks.jsonl'), 'utf8').trimEnd().split('\n');
const tasks = lines.map((line) => JSON.parse(line) as DemoTask);
const config = json('model/config.json');
const text = createText({
  tokenizer: json('model/tokenizer.json'),
  tokenizerConfig: json('model/tokenizer_config.json'),
  generationConfig: json('model/generation_config.json'),
  modelConfig: config
});

test('config, weights and tokenizer are of one model, of 12 MB at most', () => {
  const header = readSafetensorsHeader(new Uint8Array(readFileSync(at('model/model.safetensors'))));
  const { hidden_size, num_hidden_layers, vocab_size } = config;
  expect(header.tensors.get('model.embed_tokens.weight')!.shape).toEqual([vocab_size, hidden_size]);
  expect([...header.tensors.values()].every(({ dtype }) => dtype === 'F16')).toBe(true);
  // Seven matrices and two norms a layer, the embedding (tied to the head) and the last norm.
  expect(header.tensors.size).toBe(9 * num_hidden_layers + 2);
  expect(() => checkFits(text, vocab_size)).not.toThrow();
  expect(text.vocabSize).toBe(vocab_size);
  expect(text.eosTokenIds).toEqual([config.eos_token_id]);
  const bytes = readdirSync(at('model')).reduce((sum, name) => sum + statSync(at(`model/${name}`)).size, 0);
  expect(bytes).toBeLessThanOrEqual(12_000_000);
});

test('every task imports, with four different answers that fit the model', () => {
  for (const task of tasks) {
    const { prompt, outputs, metadata } = readRow(task, null);
    expect(new Set(outputs.map(({ text }) => text)).size).toBe(4);
    expect(outputs.every(({ source }) => source?.startsWith('demo base'))).toBe(true);
    expect(metadata).toEqual({ family: task.family, scenario: task.scenario, synthetic: true });
    for (const output of outputs) {
      const ids = [...text.prompt(prompt), ...text.completion(prompt, output.text).ids];
      expect(ids.length).toBeLessThan(config.max_position_embeddings);
      expect(text.decode(text.encode(output.text))).toBe(output.text);
    }
  }
  expect(tasks).toHaveLength(40);
});

test('the tasks are what the grammar says they are, and have answers to choose between', () => {
  for (const { family, scenario: number, prompt, outputs } of tasks) {
    const scenario = scenarioOf(family as Family, number);
    expect(scenario.prompt).toBe(prompt);
    expect(new Set(outputs.map(({ text }) => judge(scenario, text).score)).size).toBeGreaterThan(1);
  }
});

test('the project is one that the API accepts', () => {
  expect(NewProject.parse(json('project.json')).review).toEqual({
    mode: 'open',
    overlap: 2,
    strength: false,
    order: 'arrival',
    random_share: 0.2
  });
});
