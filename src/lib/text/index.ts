import type { Tokenizer } from '@huggingface/tokenizers';
import type { Message } from '#wire/task.ts';
import { chatTemplate, specialTokens, type Arguments, type Render } from './chat.ts';
import { completionOf, refuseSpecial, type Answered, type Completion } from './completion.ts';
import { createEncoder } from './encoder.ts';
import { TextError } from './error.ts';
import { findOpening, type Opening } from './opening.ts';
import { textStream, type TextStream } from './stream.ts';
import { readTokenizer } from './tokenizer.ts';

export { TextError, type Completion, type TextStream };

export interface TextFiles {
  /** tokenizer.json, parsed. */
  tokenizer: unknown;
  /** tokenizer_config.json, parsed; may be missing. */
  tokenizerConfig?: unknown;
  /** chat_template.jinja, where the template stands in a file of its own; it goes before the one in the config. */
  chatTemplate?: string;
  /** generation_config.json and config.json, parsed: where the ids that end an answer stand. */
  generationConfig?: unknown;
  modelConfig?: unknown;
}

/**
 * From messages to token ids and back, the same on the server (training data) and in the browser (preview), so that a
 * model is asked in the words it was trained with. What people write must not contain the tokens that steer the model:
 * `prompt` and `completion` throw TextError `special_in_text`, and `template_refused` where the template will not have
 * the conversation.
 */
export interface Text {
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
  /** Turns ids into text as they come, whole characters only. */
  stream(): TextStream;
  /**
   * The ids an answer follows: the chat template with `add_generation_prompt`. Without a template the model continues
   * text: a single message stands as it is, several are set apart by blank lines.
   */
  prompt(messages: readonly Message[]): number[];
  /** What follows `prompt(messages)` when the model answers `answer`. */
  completion(messages: readonly Message[], answer: string): Completion;
  /** Ids that end an answer; the first is what completions end with. */
  readonly eosTokenIds: number[];
  /** One above the largest id. */
  readonly vocabSize: number;
  readonly hasTemplate: boolean;
  /** What the template is given beside the conversation, where it would otherwise open thinking that it drops. */
  readonly templateArguments: Arguments;
}

export interface TextOptions {
  /** What a template that writes the date is told; a run keeps to one, so that its data is the same bytes again. */
  now?: () => Date;
}

/** Throws TextError. */
export function createText(files: TextFiles, { now = () => new Date() }: TextOptions = {}): Text {
  const config = record(files.tokenizerConfig);
  const { tokenizer, added } = readTokenizer(files.tokenizer, config);
  const special = specialTokens(config);
  const render = chatTemplate(files.chatTemplate ?? config.chat_template, special, now);
  const opening: Opening = render ? findOpening(render) : { arguments: {}, dropped: '' };
  const ask = render ? templated(render, opening) : continued;
  const checkContents = refuseSpecial(added.filter((token) => token.special).map(({ content }) => content));
  const encoder = createEncoder(tokenizer);
  // A template writes the beginning-of-text token itself.
  const begin = render
    ? []
    : beginning(config, encoder.begin, tokenizer.token_to_id(special.bos_token ?? ''));
  const vocabSize = sizeOf(tokenizer);
  const eosTokenIds = eosIds(files, tokenizer, special.eos_token, vocabSize);
  // Cleaning up would take spaces away that the model wrote.
  const options = { skip_special_tokens: true, clean_up_tokenization_spaces: false };
  const decode = (some: number[]) => (some.length ? tokenizer.decode(some, options) : '');
  let last = { text: '', ids: [] as number[] };
  // One prompt has many answers in a row.
  const prompt = (messages: readonly Message[]) => {
    checkContents(messages);
    const text = ask.prompt(messages);
    if (text !== last.text) last = { text, ids: encoder.encode(text) };
    return [...begin, ...last.ids];
  };

  return {
    encode: encoder.encode,
    decode: (some) => decode([...some]),
    stream: () => textStream(decode),
    prompt,
    completion(messages, answer) {
      const before = prompt(messages);
      checkContents([{ role: 'assistant', content: answer }]);
      return completionOf(ask.answered(messages, answer), before, { encoder, begin, eos: eosTokenIds });
    },
    eosTokenIds,
    vocabSize,
    hasTemplate: render !== null,
    templateArguments: opening.arguments
  };
}

/** Throws TextError where ids of the tokenizer are beyond the model's embedding. */
export function checkFits(text: Text, modelVocabSize: number): void {
  if (text.vocabSize <= modelVocabSize) return;
  throw new TextError(
    'does_not_fit',
    `The tokenizer does not fit the model: it has ${text.vocabSize} tokens, the model ${modelVocabSize}.`
  );
}

interface Ask {
  prompt(messages: readonly Message[]): string;
  answered(messages: readonly Message[], answer: string): Answered;
}

function templated(render: Render, { arguments: given, dropped }: Opening): Ask {
  const prompt = (messages: readonly Message[]) => {
    const { text } = render(messages, true, given);
    // Earlier answers may lose their reasoning; what was asked must be there.
    const lost = messages.find(({ role, content }) => role !== 'assistant' && !text.includes(content.trim()));
    if (!lost) return text;
    throw new TextError(
      'template_refused',
      `The chat template leaves out what a message with the role "${lost.role}" says.`
    );
  };
  return {
    prompt,
    answered(messages, answer) {
      const asked = prompt(messages);
      const { text, generation } = render(
        [...messages, { role: 'assistant', content: answer }],
        false,
        given
      );
      const start = asked.length - (asked.endsWith(dropped) ? dropped.length : 0);
      if (!text.startsWith(asked.slice(0, start)))
        throw new TextError(
          'template_refused',
          'The chat template writes this conversation otherwise once its answer is there, so that the answer does not follow the prompt.'
        );
      return { whole: dropped ? null : text, start, answer: text.slice(start), generation };
    }
  };
}

const continued: Ask = {
  prompt(messages) {
    const [first] = messages;
    return messages.length === 1 ? first!.content : messages.map(({ content }) => `${content}\n\n`).join('');
  },
  answered(messages, answer) {
    const asked = continued.prompt(messages);
    return { whole: asked + answer, start: asked.length, answer, generation: [] };
  }
};

/** tokenizer_config.json overrules what tokenizer.json puts before a text. */
function beginning(config: Record<string, unknown>, own: number[], bos: number | undefined): number[] {
  if (config.add_bos_token === false) return [];
  return config.add_bos_token === true && bos !== undefined ? [bos] : own;
}

function sizeOf(tokenizer: Tokenizer): number {
  let size = 0;
  for (const id of tokenizer.get_vocab(true).values()) size = Math.max(size, id + 1);
  return size;
}

function eosIds(
  { generationConfig, modelConfig }: TextFiles,
  tokenizer: Tokenizer,
  eosToken: string | undefined,
  vocabSize: number
): number[] {
  const own = eosToken === undefined ? undefined : tokenizer.token_to_id(eosToken);
  const named = [record(generationConfig).eos_token_id, record(modelConfig).eos_token_id].find(
    (id) => id != null
  );
  const all = [own, named]
    .flat()
    .filter((id): id is number => Number.isInteger(id) && Number(id) < vocabSize);
  return [...new Set(all)];
}

function record(value: unknown): Record<string, unknown> {
  return value && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}
