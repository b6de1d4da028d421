import { expect, test } from 'vitest';
import { createText } from '../src/lib/text/index.ts';
import { BYTE_LETTERS, trainBpe } from './bpe.ts';
import { scenarios, tokenizerTexts } from './corpus.ts';
import { SPECIAL, tokenizerConfig, tokenizerJson } from './tokenizer.ts';

const vocabulary = trainBpe(tokenizerTexts(400, 1), 900);
const text = createText({ tokenizer: tokenizerJson(vocabulary), tokenizerConfig: tokenizerConfig(512) });

test('the most frequent pair becomes a token, of equal ones the first', () => {
  const { tokens, merges } = trainBpe(['low low lower', 'abab'], 259);
  expect(merges).toEqual([
    ['l', 'o'],
    ['lo', 'w'],
    ['a', 'b']
  ]);
  expect(tokens.slice(256)).toEqual(['lo', 'low', 'ab']);
  expect(new Set(BYTE_LETTERS).size).toBe(256);
});

test('any text comes back byte for byte, in few tokens where the grammar made it', () => {
  expect(text.vocabSize).toBe(SPECIAL.length + 900);
  const foreign = ['naïve 🩻 ≤ 5 mm — ß', '\t\n  two  spaces ', "it's 1,234.5%", '日本語'];
  for (const said of [...foreign, ...scenarios(5_000, 50).map(({ prompt }) => prompt)])
    expect(text.decode(text.encode(said))).toBe(said);
  const { prompt } = scenarios(5_000, 1)[0]!;
  expect(text.encode(prompt).length).toBeLessThan(prompt.length / 3);
});

test('a conversation is marked by a token for each role and one that ends a turn', () => {
  const messages = [{ role: 'user' as const, content: 'Findings?' }];
  expect(text.prompt(messages).slice(0, 1)).toEqual([SPECIAL.indexOf('<|user|>')]);
  expect(text.completion(messages, 'Clear.').ids.at(-1)).toBe(SPECIAL.indexOf('<|end|>'));
  expect(text.eosTokenIds).toEqual([SPECIAL.indexOf('<|end|>')]);
});

test('the same texts give the same vocabulary', () => {
  expect(trainBpe(tokenizerTexts(100, 3), 500)).toEqual(trainBpe(tokenizerTexts(100, 3), 500));
});
