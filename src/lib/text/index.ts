import { Tokenizer } from '@huggingface/tokenizers';
import type { Message } from '#wire/task.ts';
import { chatTemplate, specialTokens, type Render } from './chat.ts';
import { TextError } from './error.ts';
import { textStream, type TextStream } from './stream.ts';

export { TextError, type TextStream };

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
 * model is asked in the words it was trained with.
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
  /** The ids that follow `prompt(messages)` when the model answers `answer`, the one that ends it included. */
  completion(messages: readonly Message[], answer: string): number[];
  /** Ids that end an answer; the first is what completions end with. */
  readonly eosTokenIds: number[];
  /** One above the largest id. */
  readonly vocabSize: number;
  readonly hasTemplate: boolean;
}

/** Throws TextError. */
export function createText(files: TextFiles): Text {
  const config = record(files.tokenizerConfig);
  const tokenizer = readTokenizer(files.tokenizer, config);
  const special = specialTokens(config);
  const render = chatTemplate(files.chatTemplate ?? config.chat_template, special);
  const decode = (some: number[]) =>
    some.length ? tokenizer.decode(some, { skip_special_tokens: true }) : '';
  let vocabSize = 0;
  for (const id of tokenizer.get_vocab(true).values()) vocabSize = Math.max(vocabSize, id + 1);
  const eosTokenIds = eosIds(files, tokenizer, special.eos_token, vocabSize);

  const encode = (text: string, specials: boolean) =>
    text ? tokenizer.encode(text, { add_special_tokens: specials }).ids : [];
  const textOf = (messages: readonly Message[], answer?: string) => conversation(render, messages, answer);
  // A template writes the beginning-of-text token itself.
  const encodeWhole = (text: string) => encode(text, render === null);
  const prompt = (messages: readonly Message[]) => encodeWhole(textOf(messages));

  return {
    encode: (text) => encode(text, false),
    decode: (some) => decode([...some]),
    stream: () => textStream(decode),
    prompt,
    completion(messages, answer) {
      const before = prompt(messages);
      const whole = encodeWhole(textOf(messages, answer));
      const joins = before.every((id, i) => whole[i] === id);
      // Where the tokenizer merges over the seam, the model could never be asked for that; the answer stands alone.
      const after = joins ? whole.slice(before.length) : encode(afterPrompt(textOf, messages, answer), false);
      return endOnce(after, eosTokenIds);
    },
    eosTokenIds,
    vocabSize,
    hasTemplate: render !== null
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

function conversation(render: Render | null, messages: readonly Message[], answer?: string): string {
  if (render) {
    if (answer === undefined) return render(messages, true).text;
    return render([...messages, { role: 'assistant', content: answer }], false).text;
  }
  const [first] = messages;
  const asked =
    messages.length === 1 ? first!.content : messages.map(({ content }) => `${content}\n\n`).join('');
  return asked + (answer ?? '');
}

function afterPrompt(
  textOf: (messages: readonly Message[], answer?: string) => string,
  messages: readonly Message[],
  answer: string
): string {
  const asked = textOf(messages);
  const whole = textOf(messages, answer);
  // Some templates rewrite earlier turns once an answer is there; what is left then is the answer itself.
  return whole.startsWith(asked) ? whole.slice(asked.length) : answer;
}

/** What a template puts after the end of an answer belongs to the next turn. */
function endOnce(answer: number[], eos: readonly number[]): number[] {
  const end = answer.findIndex((id) => eos.includes(id));
  if (end >= 0) return answer.slice(0, end + 1);
  return eos.length ? [...answer, eos[0]!] : answer;
}

function readTokenizer(tokenizer: unknown, config: Record<string, unknown>): Tokenizer {
  if (!tokenizer || typeof tokenizer !== 'object' || !('model' in tokenizer))
    throw new TextError('bad_tokenizer', 'tokenizer.json is not a tokenizer: it has no "model".');
  try {
    // A truncation or padding left over from somebody's training must not cut texts here.
    const plain = { ...tokenizer, truncation: null, padding: null };
    return new Tokenizer(plain, config);
  } catch (error) {
    throw new TextError('bad_tokenizer', `tokenizer.json cannot be used: ${(error as Error).message}`);
  }
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
