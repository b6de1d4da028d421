import { Tokenizer } from '@huggingface/tokenizers';
import { TextError } from './error.ts';
import { preTokenizer } from './pre-tokenizer.ts';

type Json = Record<string, unknown>;
export interface AddedToken {
  id: number;
  content: string;
  special?: boolean;
  single_word?: boolean;
}

const refuse = (what: string) => new TextError('bad_tokenizer', `tokenizer.json cannot be used: ${what}`);

/** Normalizers that the library applies as the tokenizers crate does; others it approximates or lacks. */
const NORMALIZERS = ['NFC', 'NFD', 'NFKC', 'NFKD', 'Replace', 'Prepend'];
const POST_PROCESSORS = ['TemplateProcessing', 'ByteLevel', 'RobertaProcessing', 'BertProcessing'];

/**
 * A tokenizer.json and its tokenizer_config.json as a tokenizer that gives the ids of the tokenizers crate. Parts that
 * the library reads otherwise are said in words that it reads alike, or refused by name (docs/text.md).
 * Throws TextError.
 */
export function readTokenizer(given: unknown, config: Json): { tokenizer: Tokenizer; added: AddedToken[] } {
  if (!isJson(given) || !isJson(given.model))
    throw new TextError('bad_tokenizer', 'tokenizer.json is not a tokenizer: it has no "model".');
  const added = addedTokens(given, config);
  for (const { single_word, content } of added)
    if (single_word) throw refuse(`the added token "${content}" is a single_word one.`);
  for (const { type } of parts(given.normalizer, 'normalizers'))
    if (!NORMALIZERS.includes(String(type)))
      throw refuse(`its normalizer "${String(type)}" is not supported.`);
  for (const { type } of parts(given.post_processor, 'processors'))
    if (!POST_PROCESSORS.includes(String(type)))
      throw refuse(`its post-processor "${String(type)}" is not supported.`);
  const plain = {
    ...given,
    model: checkedModel(given.model, given.pre_tokenizer),
    pre_tokenizer: preTokenizer(given.pre_tokenizer, config.add_prefix_space),
    added_tokens: added,
    // A truncation or padding left over from somebody's training must not cut texts here.
    ...{ truncation: null, padding: null }
  };
  try {
    return { tokenizer: new Tokenizer(plain, config), added };
  } catch (error) {
    if (error instanceof TextError) throw error;
    throw refuse((error as Error).message);
  }
}

/**
 * Tokens that only tokenizer_config.json adds are added all the same, as transformers does; a token that the model's own
 * vocabulary has keeps its id from there, as in the tokenizers crate.
 */
function addedTokens(given: Json, config: Json): AddedToken[] {
  const added = (Array.isArray(given.added_tokens) ? given.added_tokens : []) as AddedToken[];
  const known = new Set(added.map(({ id }) => id));
  const more = Object.entries(isJson(config.added_tokens_decoder) ? config.added_tokens_decoder : {})
    .map(([id, token]) => ({ ...(token as AddedToken), id: Number(id) }))
    .filter(({ id }) => !known.has(id));
  const { vocab } = given.model as Json;
  const own = isJson(vocab) ? vocab : {};
  return [...added, ...more].map((token) => {
    const id = Object.hasOwn(own, token.content) ? own[token.content] : token.id;
    return { ...token, id: id as number };
  });
}

function checkedModel(model: Json, preTokenizer: unknown): Json {
  // Files of early versions do not say their type; only BPE has merges.
  const type = model.type ?? (Array.isArray(model.merges) ? 'BPE' : 'unnamed');
  if (type === 'Unigram') {
    if (model.byte_fallback) throw refuse('a Unigram model with byte_fallback is not supported.');
    return model;
  }
  if (type !== 'BPE') throw refuse(`its model is "${String(type)}"; decoders have BPE or Unigram.`);
  if (model.continuing_subword_prefix)
    throw refuse('a BPE model with continuing_subword_prefix is not supported.');
  // The library fuses unknowns of neighbouring words as well.
  if (model.unk_token && model.fuse_unk && !model.byte_fallback && preTokenizer)
    throw refuse('a BPE model with fuse_unk after a pre-tokenizer is not supported.');
  return { ...model, type };
}

/** A component, or the components of a Sequence. */
function parts(component: unknown, of: string): Json[] {
  if (!isJson(component)) return [];
  if (component.type !== 'Sequence') return [component];
  return ((component[of] as unknown[]) ?? []).flatMap((part) => parts(part, of));
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
