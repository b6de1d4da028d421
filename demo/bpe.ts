/**
 * Trains a byte-level BPE vocabulary: bytes stand for themselves, and the pair of neighbours that is most frequent
 * within words becomes a token, again and again. Small texts only: counts are made anew for the words that a merge
 * touched, and nothing else is clever.
 */
export interface Vocabulary {
  /** Tokens in GPT-2's printable letters for bytes, by id order. */
  tokens: string[];
  merges: [string, string][];
}

/** How GPT-2 cuts text into words before merging; the `ByteLevel` pre-tokenizer of tokenizer.json does the same. */
const WORDS = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

const printable = (byte: number) =>
  (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);

/** GPT-2's letter for each byte: itself where it can be printed, else the next free one from 256 on. */
export const BYTE_LETTERS: readonly string[] = (() => {
  let free = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : free++));
})();

interface Word {
  parts: string[];
  count: number;
}

export function trainBpe(texts: Iterable<string>, tokenCount: number): Vocabulary {
  const words = countWords(texts);
  const tokens = [...BYTE_LETTERS];
  const merges: [string, string][] = [];
  const pairs = new Map<string, number>();
  for (const word of words) countPairs(word, pairs, 1);
  while (tokens.length < tokenCount) {
    const best = mostFrequent(pairs);
    if (!best) break;
    const [left, right] = best;
    merges.push([left, right]);
    tokens.push(left + right);
    for (const word of words) {
      if (!holdsPair(word.parts, left, right)) continue;
      countPairs(word, pairs, -1);
      word.parts = mergeIn(word.parts, left, right);
      countPairs(word, pairs, 1);
    }
  }
  return { tokens, merges };
}

function countWords(texts: Iterable<string>): Word[] {
  const counts = new Map<string, number>();
  const encoder = new TextEncoder();
  for (const text of texts)
    for (const [word] of text.matchAll(WORDS)) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].map(([word, count]) => ({
    parts: [...encoder.encode(word)].map((byte) => BYTE_LETTERS[byte]!),
    count
  }));
}

// A space is no letter of the alphabet (it is printed as Ġ), so it can stand between the two.
function countPairs({ parts, count }: Word, pairs: Map<string, number>, sign: 1 | -1): void {
  for (let i = 0; i + 1 < parts.length; i++) {
    const pair = `${parts[i]} ${parts[i + 1]}`;
    const left = (pairs.get(pair) ?? 0) + sign * count;
    if (left) pairs.set(pair, left);
    else pairs.delete(pair);
  }
}

/** Of equally frequent pairs the first by code units, so that a training is the same everywhere; none below 2. */
function mostFrequent(pairs: Map<string, number>): [string, string] | null {
  let best: string | null = null;
  let most = 1;
  for (const [pair, count] of pairs)
    if (count > most || (count === most && best !== null && pair < best)) {
      best = pair;
      most = count;
    }
  return best === null ? null : (best.split(' ') as [string, string]);
}

const holdsPair = (parts: string[], left: string, right: string) =>
  parts.some((part, i) => part === left && parts[i + 1] === right);

function mergeIn(parts: string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (let i = 0; i < parts.length; i++)
    if (parts[i] === left && parts[i + 1] === right) {
      merged.push(left + right);
      i++;
    } else merged.push(parts[i]!);
  return merged;
}
