/**
 * Vocabularies of other formats as tokenizer.json, to hold our tokenizer against their golden ids. Concord itself
 * refuses such files: what a vocabulary leaves out (pattern, added tokens, space before a word) is said here by hand.
 */

type Piece = { text: string; score: number; type: number };
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;

/** The pieces of a SentencePiece ModelProto, and its kind of model. */
export function readSentencePiece(bytes: Uint8Array): { pieces: Piece[]; modelType: number } {
  const pieces: Piece[] = [];
  let modelType = 1;
  for (const { field, value } of messageFields(bytes)) {
    if (field === 1 && value instanceof Uint8Array) pieces.push(readPiece(value));
    if (field === 2 && value instanceof Uint8Array)
      for (const inner of messageFields(value)) if (inner.field === 3) modelType = Number(inner.value);
  }
  return { pieces, modelType };
}

function readPiece(bytes: Uint8Array): Piece {
  const piece: Piece = { text: '', score: 0, type: 1 };
  for (const { field, value } of messageFields(bytes)) {
    if (field === 1) piece.text = new TextDecoder().decode(value as Uint8Array);
    if (field === 2) piece.score = float(value as Uint8Array);
    if (field === 3) piece.type = Number(value);
  }
  return piece;
}

const float = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset).getFloat32(0, true);

/** Protocol Buffers: a key holds field number and wire type (0 varint, 1 eight bytes, 2 counted bytes, 5 four bytes). */
function* messageFields(bytes: Uint8Array): Generator<{ field: number; value: number | Uint8Array }> {
  let at = 0;
  const varint = () => {
    for (let value = 0, scale = 1; ; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const wire = key & 7;
    if (wire === 0) yield { field: key >>> 3, value: varint() };
    else {
      const length = wire === 2 ? varint() : wire === 1 ? 8 : 4;
      yield { field: key >>> 3, value: bytes.subarray(at, (at += length)) };
    }
  }
}

/** SentencePiece's BPE joins the pair whose piece scores highest; ranks in order of score say the same. */
export function piecesToTokenizer(pieces: Piece[], prefix: 'normalizer' | 'first'): unknown {
  const vocab = new Map(pieces.map(({ text }, id) => [text, id]));
  const merges = pieces.flatMap(({ text, score, type }) => {
    const chars = [...text];
    if (type !== 1) return [];
    const cuts = [...Array(Math.max(chars.length - 1, 0)).keys()].map((i) => i + 1);
    const pairs = cuts.map((at) => [chars.slice(0, at).join(''), chars.slice(at).join('')] as const);
    const joined = pairs.filter(([left, right]) => vocab.has(left) && vocab.has(right));
    joined.sort((a, b) => vocab.get(a[0])! - vocab.get(b[0])! || vocab.get(a[1])! - vocab.get(b[1])!);
    return joined.map((pair) => ({ pair, score }));
  });
  merges.sort((a, b) => b.score - a.score);
  const added = pieces
    .map(({ text, type }, id) => ({ id, content: text, type }))
    .filter(({ type }) => [UNKNOWN, CONTROL, USER_DEFINED].includes(type));
  const legacy = [
    { type: 'Prepend', prepend: '▁' },
    { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
  ];
  return tokenizerJson({
    added_tokens: added.map(({ id, content, type }) => token(id, content, type !== USER_DEFINED)),
    normalizer: prefix === 'normalizer' ? { type: 'Sequence', normalizers: legacy } : null,
    pre_tokenizer:
      prefix === 'first'
        ? { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false }
        : null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        { type: 'Strip', content: ' ', start: 1, stop: 0 }
      ]
    },
    model: bpe(
      Object.fromEntries(vocab),
      merges.map(({ pair }) => pair),
      {
        ...{ unk_token: '<unk>', fuse_unk: true, byte_fallback: true }
      }
    )
  });
}

/** A unigram model without its compiled normalizer, for texts that it would leave as they are. */
export function unigramToTokenizer(pieces: Piece[]): unknown {
  return tokenizerJson({
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    model: { type: 'Unigram', unk_id: 0, vocab: pieces.map(({ text, score }) => [text, score]) }
  });
}

/** Byte-level BPE, split by these parts before. */
export function byteLevelToTokenizer(
  vocab: Record<string, number>,
  merges: unknown[],
  splits: unknown[],
  { added_tokens = [], ...more }: { added_tokens?: unknown[]; ignore_merges?: boolean } = {}
): unknown {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
  return tokenizerJson({
    added_tokens,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [...splits, byteLevel] },
    decoder: byteLevel,
    model: bpe(vocab, merges, more)
  });
}

export const splitBy = (regex: string) => ({
  ...{ type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false }
});
export const token = (id: number, content: string, special = true) => ({
  ...{ id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false }
});
const bpe = (vocab: object, merges: unknown[], more: object) => ({
  ...{ type: 'BPE', unk_token: null, fuse_unk: false, byte_fallback: false, vocab, merges },
  ...more
});
const tokenizerJson = (parts: object) => ({
  ...{ version: '1.0', added_tokens: [], normalizer: null, pre_tokenizer: null, post_processor: null },
  decoder: null,
  ...parts
});

/** tiktoken's file: base64 bytes and a rank in every line; tokens by GPT-2's printable stand-ins for bytes. */
export function readRanks(text: string): Map<string, number> {
  const lines = text.trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [base64, rank] = line.split(' ');
      return [[...Buffer.from(base64!, 'base64')].map(byteSymbol).join(''), Number(rank)];
    })
  );
}

/** A token was joined last from the two that remain when only pairs of lower rank are joined. */
export function mergesOf(ranks: Map<string, number>): [string, string][] {
  return [...ranks].flatMap(([token, rank]) => {
    let parts = [...token];
    while (parts.length > 2) {
      const joined = parts.slice(1).map((right, i) => ranks.get(parts[i]! + right) ?? Infinity);
      const lowest = Math.min(...joined);
      if (lowest >= rank) break;
      const at = joined.indexOf(lowest);
      parts = [...parts.slice(0, at), parts[at]! + parts[at + 1]!, ...parts.slice(at + 2)];
    }
    return parts.length === 2 ? [[parts[0]!, parts[1]!] as [string, string]] : [];
  });
}

export function byteSymbol(byte: number): string {
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  if (printable(byte)) return String.fromCharCode(byte);
  let shift = 0;
  for (let b = 0; b < byte; b++) if (!printable(b)) shift++;
  return String.fromCharCode(256 + shift);
}

/** Byte-level vocabulary: 256 bytes, these merges, and tokens that steer. */
export function byteTokenizer(merges: [string, string][] = [], special = ['<end>']): unknown {
  const symbols = [...[...Array(256).keys()].map(byteSymbol), ...merges.map((pair) => pair.join(''))];
  const vocab = Object.fromEntries(symbols.map((symbol, i) => [symbol, i]));
  const added_tokens = special.map((content, i) => token(symbols.length + i, content));
  return byteLevelToTokenizer(vocab, merges, [], { added_tokens });
}

/** What a GGUF file says in its header, by key. */
export function readGguf(bytes: Uint8Array): Map<string, unknown> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 8;
  const long = () => Number(view.getBigUint64((at += 8) - 8, true));
  const int = () => view.getUint32((at += 4) - 4, true);
  const string = () => {
    const length = long();
    return new TextDecoder().decode(bytes.subarray(at, (at += length)));
  };
  const value = (type: number): unknown => {
    if (type === 8) return string();
    if (type === 7 || type < 2) return bytes[at++];
    if (type === 6) return view.getFloat32((at += 4) - 4, true);
    if (type === 4 || type === 5) return int();
    if (type !== 9) return long();
    const [inner, count] = [int(), long()];
    return Array.from({ length: count }, () => value(inner));
  };
  long();
  const keys = long();
  return new Map(
    Array.from({ length: keys }, () => {
      const key = string();
      return [key, value(int())];
    })
  );
}
