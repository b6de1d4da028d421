import type { Tokenizer } from '@huggingface/tokenizers';

/** A tokenizer's three ways to read text, none of which adds what the text does not say. */
export interface Encoder {
  /** The ids of a text. */
  encode(text: string): number[];
  /** The ids of what follows other text: without the space that SentencePiece puts before the first word. */
  encodeAfter(text: string): number[];
  /** What the tokenizer puts before a text of its own accord: the beginning-of-text id, or nothing. */
  readonly begin: number[];
}

/** One id before a word that no tokenizer merges with it: "\n" is a byte to those that put a space before words. */
const ANCHOR = '\n';
const WORD = 'word';

export function createEncoder(tokenizer: Tokenizer): Encoder {
  const encode = (text: string) => (text ? tokenizer.encode(text, { add_special_tokens: false }).ids : []);
  const anchor = encode(ANCHOR);
  const afterAnchor = (text: string): number[] | null => {
    const ids = encode(ANCHOR + text);
    return startsWith(ids, anchor) ? ids.slice(anchor.length) : null;
  };
  const bare = encode(WORD);
  const prefixes = afterAnchor(WORD)?.join() !== bare.join();
  const marked = tokenizer.encode(WORD).ids;
  return {
    encode,
    encodeAfter: (text) => (prefixes && text ? (afterAnchor(text) ?? encode(text)) : encode(text)),
    begin: marked.slice(0, positionOf(marked, bare))
  };
}

export function startsWith(ids: readonly number[], beginning: readonly number[]): boolean {
  return ids.length >= beginning.length && beginning.every((id, i) => ids[i] === id);
}

function positionOf(ids: readonly number[], part: readonly number[]): number {
  for (let i = 0; i <= ids.length - part.length; i++) if (startsWith(ids.slice(i), part)) return i;
  return 0;
}
