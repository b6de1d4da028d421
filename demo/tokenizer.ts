import type { Vocabulary } from './bpe.ts';

/** Tokens that mark who speaks and where a turn ends, first in the vocabulary. */
export const SPECIAL = ['<|pad|>', '<|end|>', '<|system|>', '<|user|>', '<|assistant|>'] as const;
export const END = '<|end|>';

const CHAT_TEMPLATE =
  "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/** tokenizer.json as Hugging Face's libraries read it. */
export function tokenizerJson({ tokens, merges }: Vocabulary): unknown {
  const ordered = [...SPECIAL, ...tokens];
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map((content, id) => ({
      ...{ id, content, special: true },
      ...{ single_word: false, lstrip: false, rstrip: false, normalized: false }
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      ...{ dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null },
      ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false },
      vocab: Object.fromEntries(ordered.map((token, id) => [token, id])),
      merges
    }
  };
}

export function tokenizerConfig(positions: number): unknown {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    model_max_length: positions,
    ...{ bos_token: null, eos_token: END, pad_token: '<|pad|>', unk_token: null },
    clean_up_tokenization_spaces: false,
    chat_template: CHAT_TEMPLATE
  };
}
