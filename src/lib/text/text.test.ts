import { expect, test } from 'vitest';
import type { Message } from '#wire/task.ts';
import { checkFits, createText, TextError } from './index.ts';
import { jsonOf, linesOf, present } from './testing-data.ts';
import { byteTokenizer } from './testing-vocabularies.ts';

const stories = 'tiny-llm-stories260k/hf';
const storiesText = () =>
  createText({
    tokenizer: jsonOf(`${stories}/tokenizer.json`),
    tokenizerConfig: jsonOf(`${stories}/tokenizer_config.json`),
    generationConfig: jsonOf(`${stories}/generation_config.json`)
  });
const user = (content: string): Message => ({ role: 'user', content });

const TEMPLATE =
  "{% for m in messages %}{{ '[' + m.role + ']' + m.content + '<end>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}";
const chat = (template: string | undefined = TEMPLATE) =>
  createText({
    tokenizer: byteTokenizer(),
    tokenizerConfig: { eos_token: '<end>', chat_template: template }
  });

test('a completion is what follows the prompt in the rendered conversation, up to its end', () => {
  const text = chat();
  expect(text.decode(text.prompt([user('é?')]))).toBe('[user]é?\n[assistant]');
  const { ids: answer, mask, merged } = text.completion([user('é?')], 'Yes.');
  expect([mask, merged]).toEqual([null, false]);
  expect(answer.at(-1)).toBe(256);
  expect(text.decode(answer)).toBe('Yes.');
  expect(text.eosTokenIds).toEqual([256]);
  expect(text.vocabSize).toBe(257);
});

test('without a template text is continued: one message as it is, several set apart', () => {
  const text = createText({ tokenizer: byteTokenizer(), tokenizerConfig: { eos_token: '<end>' } });
  expect(text.hasTemplate).toBe(false);
  expect(text.decode(text.prompt([user('Once upon')]))).toBe('Once upon');
  expect(text.decode(text.completion([user('Once upon')], ' a time').ids)).toBe(' a time');
  const turns: Message[] = [user('Hi'), { role: 'assistant', content: 'Hello' }, user('Bye')];
  expect(text.decode(text.prompt(turns))).toBe('Hi\n\nHello\n\nBye\n\n');
});

test('streamed ids give whole characters and, together, the same text', () => {
  const text = chat();
  const said = 'naïve 🩻 ≤ 5 mm — ß';
  const stream = text.stream();
  const pieces = text.encode(said).map((id) => stream.push(id));
  expect(pieces.join('') + stream.end()).toBe(said);
  expect(pieces.join('')).not.toContain('\ufffd');
  const broken = text.stream();
  expect([broken.push(0xf0), broken.push(0x9f), broken.end()]).toEqual(['', '', '\ufffd']);
});

test('what cannot be used is said in one sentence', () => {
  expect(() => createText({ tokenizer: {} })).toThrow(TextError);
  expect(() => chat('{% for %}')).toThrow('The chat template cannot be read');
  expect(() => chat("{{ raise_exception('no system role') }}").prompt([user('x')])).toThrow(
    "The model's chat template refuses this conversation: no system role"
  );
  expect(() => checkFits(chat(), 100)).toThrow('it has 257 tokens, the model 100.');
});

test.skipIf(!present)('stories260k: the ids of llama2.c, and their text again', () => {
  const text = storiesText();
  for (const { text: said, ids } of linesOf('tiny-llm-stories260k/golden-tokens.jsonl')) {
    expect(text.prompt([user(said)])).toEqual(ids);
    const stream = text.stream();
    const streamed =
      ids
        .slice(1)
        .map((id: number) => stream.push(id))
        .join('') + stream.end();
    expect(streamed.trimStart()).toBe(text.decode(ids).trimStart());
  }
});
