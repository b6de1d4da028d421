import { expect, test } from 'vitest';
import type { Message } from '#wire/task.ts';
import { createText } from './index.ts';
import { jsonOf, present, textOf } from './testing-data.ts';
import { byteTokenizer, piecesToTokenizer } from './testing-vocabularies.ts';

const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });

/** Turns stand as `[role]text<end>`, an answer begins after `[assistant]`. */
const TURNS =
  "{% for m in messages %}{{ '[' + m.role + ']' + m.content + '<end>' }}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}";
const withTemplate = (chat_template: string, merges: [string, string][] = [], special = ['<end>']) =>
  createText({
    tokenizer: byteTokenizer(merges, special),
    tokenizerConfig: { eos_token: '<end>', chat_template }
  });

test('where the tokenizer merges over the seam, the answer follows the ids that the model is asked with', () => {
  const text = withTemplate(TURNS, [[']', 'Y']]);
  const prompt = text.prompt([user('?')]);
  const { ids, merged } = text.completion([user('?')], 'Yes');
  expect(merged).toBe(true);
  expect(ids).toEqual([...text.encode('Y'), ...text.encode('es'), ...text.eosTokenIds]);
  expect(text.encode('[assistant]Yes')).not.toEqual([...prompt.slice(-11), ...ids.slice(0, -1)]);
  expect(text.completion([user('?')], 'No')).toMatchObject({ merged: false, mask: null });
});

test('an answer that follows by itself gets no space of its own before the first word', () => {
  const pieces = ['<unk>', '▁', '▁a', 'a', 'b', ':b', ':'].map((text, i) => ({
    text,
    score: -i,
    type: i ? 1 : 2
  }));
  const bytes = [...Array(256).keys()].map(
    (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`
  );
  const all = [...pieces, ...bytes.map((text) => ({ text, score: 0, type: 6 }))];
  const text = createText({ tokenizer: piecesToTokenizer(all, 'normalizer') });
  expect(text.prompt([user('a:')])).toEqual([2, 6]);
  const { ids, merged } = text.completion([user('a:')], 'b');
  // Together ":b" is one piece; alone "b" would be "▁", "b".
  expect([ids, merged]).toEqual([[4], true]);
});

test('the beginning of a text stands once, and its end', () => {
  const processor = {
    type: 'TemplateProcessing',
    single: [
      { SpecialToken: { id: '<bos>', type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: '<end>', type_id: 0 } }
    ],
    pair: [],
    special_tokens: {}
  };
  const tokenizer = { ...(byteTokenizer([], ['<end>', '<bos>']) as object), post_processor: processor };
  const config = { bos_token: '<bos>', eos_token: '<end>' };
  const [end, bos] = [256, 257];
  const plain = createText({ tokenizer, tokenizerConfig: config });
  expect(plain.prompt([user('a')])).toEqual([bos, ...plain.encode('a')]);
  expect(plain.completion([user('a')], 'b').ids).toEqual([...plain.encode('b'), end]);
  const never = createText({ tokenizer, tokenizerConfig: { ...config, add_bos_token: false } });
  expect(never.prompt([user('a')])).toEqual(plain.encode('a'));
  const chat = createText({
    tokenizer,
    tokenizerConfig: { ...config, chat_template: '{{ bos_token }}' + TURNS }
  });
  const whole = [...chat.prompt([user('a')]), ...chat.completion([user('a')], 'b').ids];
  expect(whole.filter((id) => id === bos)).toEqual([bos]);
  expect(whole[0]).toBe(bos);
  expect(whole.filter((id) => id === end).length).toBe(2);
});

test('the end that a template does not write is trained all the same', () => {
  const text = withTemplate(
    "{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
  );
  expect(text.completion([user('a')], 'b').ids).toEqual([...text.encode('b\n'), 256]);
});

test('tokens that steer the model are refused in what people write', () => {
  const text = withTemplate(TURNS);
  const sentence =
    'The text contains "<end>", which steers this model and is no text to it; write it another way.';
  expect(() => text.prompt([user('now <end> it')])).toThrow(sentence);
  expect(() => text.completion([user('a')], 'b<end>')).toThrow(sentence);
  expect(() => text.completion([assistant('<end>'), user('a')], 'b')).toThrow(sentence);
});

test('only what a template marks as generated is a target', () => {
  const marked =
    "{% for m in messages %}{{ '[' + m.role + ']' }}{% if m.role == 'assistant' %}{{ 'note:' }}{% generation %}{{ m.content + '<end>' }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}";
  const { ids, mask } = withTemplate(marked, [[':', 'b']]).completion([user('a')], 'bc');
  // "note" is not a target; ":b", begun before the mark and ended in it, is.
  expect(ids.length).toBe(7);
  expect([...mask!]).toEqual([0, 0, 0, 0, 1, 1, 1]);
  const all = marked.replace("{{ 'note:' }}", '');
  expect(withTemplate(all).completion([user('a')], 'bc').mask).toBeNull();
  const nothing = TURNS + '{% generation %}{% endgeneration %}';
  expect(() => withTemplate(nothing).completion([user('a')], 'bc')).toThrow(
    'The chat template marks nothing of this answer as generated.'
  );
});

test('a template that cannot be trained on is refused in one sentence', () => {
  expect(() => withTemplate('{{ messages[0].role }}')).toThrow(
    'The chat template loses the text of messages'
  );
  const named = [{ name: 'tool_use', template: TURNS }];
  expect(() => withTemplate(named as never)).toThrow('have no one named "default"');
  const open = TURNS.replace("'[assistant]'", "'[assistant]<think>'");
  expect(() => withTemplate(open)).toThrow(
    'The chat template ends its prompt with thinking that is left open'
  );
});

test('a conversation of which the template loses a message is refused, not asked in part', () => {
  const text = withTemplate(TURNS.replace('for m in messages', "for m in messages if m.role != 'system'"));
  const messages: Message[] = [{ role: 'system', content: 'Be brief.' }, user('a')];
  const sentence = 'The chat template leaves out what a message with the role "system" says.';
  expect(() => text.prompt(messages)).toThrow(sentence);
  expect(() => text.completion(messages, 'b')).toThrow(sentence);
});

test.skipIf(!present)('Mistral Nemo drops the system message once there is an answer: refused', () => {
  const text = createText({
    tokenizer: byteTokenizer([], ['</s>', '<s>', '[INST]', '[/INST]']),
    tokenizerConfig: { bos_token: '<s>', eos_token: '</s>' },
    chatTemplate: textOf('chat-templates/llama.cpp/mistralai-Mistral-Nemo-Instruct-2407.jinja')
  });
  const messages: Message[] = [{ role: 'system', content: 'Be brief.' }, user('a')];
  expect(text.prompt(messages).length).toBeGreaterThan(0);
  expect(() => text.completion(messages, 'b')).toThrow(
    'writes this conversation otherwise once its answer is there'
  );
});

test('where prompts end with thinking that history drops, the answer follows the prompt as it is asked', () => {
  const text = withTemplate(TURNS.replace("'[assistant]'", "'[assistant]<think></think>'"));
  expect(text.decode(text.prompt([user('a')]))).toBe('[user]a[assistant]<think></think>');
  expect(text.completion([user('a')], 'b')).toEqual({
    ids: [...text.encode('b'), 256],
    mask: null,
    merged: false
  });
});

test('a template that writes the date keeps to the one it is given', () => {
  const tokenizerConfig = { eos_token: '<end>', chat_template: "{{ strftime_now('%d %b %Y') }}" + TURNS };
  const files = { tokenizer: byteTokenizer(), tokenizerConfig };
  const text = createText(files, { now: () => new Date(2026, 0, 5) });
  expect(text.decode(text.prompt([user('a')]))).toBe('05 Jan 2026[user]a[assistant]');
});

test.skipIf(!present)(
  'Qwen3 thinks in its own words: as asked, stripped from history, kept in the answer',
  () => {
    const text = createText({
      tokenizer: jsonOf('tokenizers/derived/qwen2-tokenizer.json.gz'),
      tokenizerConfig: { eos_token: '<|im_end|>' },
      chatTemplate: textOf('chat-templates/trl/qwen3.jinja')
    });
    const asked = (messages: Message[]) => text.decode(text.prompt(messages));
    const answered = (messages: Message[], answer: string) =>
      text.decode(text.completion(messages, answer).ids);
    const thought = '<think>\nFirst.\n</think>\n\n  Yes.';
    expect(text.templateArguments).toEqual({});
    expect(asked([user('So?')])).toBe('user\nSo?\nassistant\n');
    expect(answered([user('So?')], 'Yes.')).toBe('<think>\n\n</think>\n\nYes.');
    expect(answered([user('So?')], thought)).toBe(thought);
    // Only line breaks are stripped from the answer that history keeps: the spaces before it stay.
    expect(asked([user('So?'), assistant(thought), user('Sure?')])).toBe(
      'user\nSo?\nassistant\n  Yes.\nuser\nSure?\nassistant\n'
    );
  }
);
