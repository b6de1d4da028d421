import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createText, type Text } from './index.ts';
import { bytesOf, jsonOf, pathOf, present, textOf } from './testing-data.ts';
import {
  byteLevelToTokenizer,
  mergesOf,
  piecesToTokenizer,
  readGguf,
  readRanks,
  readSentencePiece,
  splitBy,
  token,
  unigramToTokenizer
} from './testing-vocabularies.ts';

const GPT2 = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const DEEPSEEK = ['[\r\n]', '\\s?\\p{L}+', '\\s?\\p{P}+', '[一-龥ࠀ-一가-퟿]+', '\\p{N}'];

/** A vocabulary is read once for all tests. */
function once(read: () => unknown): () => Text {
  let text: Text | undefined;
  return () => (text ??= createText({ tokenizer: read() }));
}
const file = (path: string) => once(() => jsonOf(`tokenizers/${path}`));
const sentencePiece = (path: string, prefix: 'normalizer' | 'first') =>
  once(() => piecesToTokenizer(readSentencePiece(bytesOf(`tokenizers/${path}`)).pieces, prefix));

interface GgufVocabulary {
  tokens: string[];
  types: number[];
  scores: number[];
  merges: string[];
}
function gguf(name: string): GgufVocabulary {
  const header = readGguf(bytesOf(`tokenizers/llama.cpp/ggml-vocab-${name}.gguf.gz`));
  const get = (key: string) => header.get(`tokenizer.ggml.${key}`);
  return {
    tokens: get('tokens'),
    types: get('token_type'),
    scores: get('scores'),
    merges: get('merges')
  } as never;
}
const ggufPieces = (name: string) =>
  once(() => {
    const { tokens, types, scores } = gguf(name);
    const pieces = tokens.map((text, i) => ({ text, score: scores[i]!, type: types[i]! }));
    return piecesToTokenizer(pieces, 'normalizer');
  });
const ggufBytes = (name: string, patterns: string[]) =>
  once(() => {
    const { tokens, types, merges } = gguf(name);
    const added_tokens = tokens.flatMap((text, i) =>
      types[i] === 1 ? [] : [token(i, text, types[i] === 3)]
    );
    const vocab = Object.fromEntries(tokens.map((text, i) => [text, i]));
    return byteLevelToTokenizer(vocab, merges, patterns.map(splitBy), { added_tokens });
  });

const gpt2 = file('gpt2/tokenizer.json.gz');
const qwen2 = file('derived/qwen2-tokenizer.json.gz');
const llama3 = file('derived/llama3-tokenizer.json.gz');
const llama2 = sentencePiece('llama2/tokenizer.model', 'normalizer');

const LLAMA_CPP: [vocabulary: string, goldens: string, text: () => Text][] = [
  ['gpt2/tokenizer.json', 'gpt-2', gpt2],
  ['llama.cpp/ggml-vocab-gpt-2.gguf', 'gpt-2', ggufBytes('gpt-2', [GPT2])],
  ['derived/qwen2-tokenizer.json', 'qwen2', qwen2],
  ['derived/llama3-tokenizer.json', 'llama-bpe', llama3],
  ['llama.cpp/ggml-vocab-deepseek-llm.gguf', 'deepseek-llm', ggufBytes('deepseek-llm', DEEPSEEK)],
  ['llama2/tokenizer.model', 'llama-spm', llama2],
  ['llama.cpp/ggml-vocab-llama-spm.gguf', 'llama-spm', ggufPieces('llama-spm')],
  ['llama.cpp/ggml-vocab-phi-3.gguf', 'phi-3', ggufPieces('phi-3')]
];
test.skipIf(!present).each(LLAMA_CPP)('%s gives the 47 golden ids of %s', (_, goldens, text) => {
  const inputs = textOf(`tokenizers/llama.cpp/ggml-vocab-${goldens}.gguf.inp`).split(
    '\n__ggml_vocab_test__\n'
  );
  const outputs = textOf(`tokenizers/llama.cpp/ggml-vocab-${goldens}.gguf.out`).split('\n');
  const wanted = inputs.map((_, i) => outputs[i]!.trim().split(/\s+/).filter(Boolean).map(Number));
  expect(inputs.map((input) => text().encode(input))).toEqual(wanted);
  expect(inputs.length).toBe(47);
});

test.skipIf(!present).each([
  ['qwen/qwen.tiktoken.gz', 'derived/qwen2-tokenizer.json.gz', 151_643],
  ['llama3/tokenizer.model.gz', 'derived/llama3-tokenizer.json.gz', 128_000]
])('%s holds the vocabulary of %s', (ranks, derived, size) => {
  const vocab = new Map(Object.entries(jsonOf(`tokenizers/${derived}`).model.vocab));
  const read = readRanks(textOf(`tokenizers/${ranks}`));
  expect([...read].filter(([token, rank]) => vocab.get(token) !== rank)).toEqual([]);
  expect([read.size, vocab.size]).toEqual([size, size]);
});

interface Case {
  input: string;
  encoded: { input_ids: number[] };
  decoded_without_special: string;
}
/** Names in swift-transformers' goldens; how many ids of their own the names' post-processors put before and after. */
const SWIFT: Record<string, { text: () => Text; before: number; after: number } | 'no vocabulary'> = {
  distilgpt2: { text: gpt2, before: 0, after: 0 },
  'openai/whisper-tiny.en': { text: gpt2, before: 2, after: 1 },
  'pcuenq/Llama-3.2-1B-Instruct-tokenizer': { text: llama3, before: 1, after: 0 },
  'coreml-projects/Llama-2-7b-chat-coreml': { text: llama2, before: 1, after: 0 },
  // Their vocabularies are not among the data; the first three are encoders, which Concord does not train.
  'bert-base-uncased': 'no vocabulary',
  'google-bert/bert-base-uncased': 'no vocabulary',
  'distilbert/distilbert-base-multilingual-cased': 'no vocabulary',
  'pcuenq/gemma-tokenizer': 'no vocabulary'
};
/** transformers 4 took the space before "!" and "'" away in decoding; transformers 5 and we leave text as it was written. */
const CLEANED_UP = "A\n'll !!to?'d''d of, can't.";

test.skipIf(!present)("swift-transformers' golden ids, and their text again", () => {
  const goldens: Record<string, Case[]> = jsonOf('tokenizers/swift-transformers/tokenizer_tests.json.gz');
  expect(Object.keys(SWIFT).sort()).toEqual(Object.keys(goldens).sort());
  const counts: Record<string, number> = {};
  for (const [name, how] of Object.entries(SWIFT)) {
    if (how === 'no vocabulary') continue;
    const text = how.text();
    for (const { input, encoded, decoded_without_special: decoded } of goldens[name]!) {
      const ids = encoded.input_ids.slice(how.before, encoded.input_ids.length - how.after);
      expect([name, input, text.encode(input)]).toEqual([name, input, ids]);
      expect([name, text.decode(ids)]).toEqual([name, input === CLEANED_UP ? input : decoded]);
      counts[name] = (counts[name] ?? 0) + 1;
    }
  }
  expect(Object.values(counts)).toEqual([18, 18, 18, 18]);
});

const LONG: [name: string, text: () => Text, begin: string][] = [
  ['gpt2_encoded_tokens', gpt2, ''],
  ['llama_encoded', llama2, '<s> '],
  ['llama_3.2_encoded', llama3, '<|begin_of_text|>']
];
test.skipIf(!present).each(LONG)('the long text of swift-transformers/%s', (name, text, begin) => {
  const golden = jsonOf(`tokenizers/swift-transformers/${name}.json`);
  const ids: number[] = begin ? golden.token_ids.slice(1) : golden.token_ids;
  expect(text().encode(golden.text)).toEqual(ids);
  expect(begin + text().decode(ids)).toBe(golden.decoded_text);
});

const MISTRAL: [version: string, file: string, samples: number][] = [
  ['v1', 'tokenizer.model.v1', 1],
  ['v3', 'mistral_instruct_tokenizer_240323.model.v3', 4]
];
test.skipIf(!present).each(MISTRAL)(
  "Mistral's samples of %s, ids of the whole text",
  (version, model, samples) => {
    const text = sentencePiece(`mistral/${model}`, 'first')();
    const folder = 'tokenizers/mistral/samples';
    const names = readdirSync(pathOf(folder)).filter((name) =>
      readdirSync(pathOf(`${folder}/${name}`)).includes(`text_${version}.txt`)
    );
    for (const name of names) {
      const shown = textOf(`${folder}/${name}/text_${version}.txt`).trimEnd();
      const whole = shown.replaceAll('▁', ' ').replaceAll('<0x0A>', '\n');
      expect([name, text.encode(whole)]).toEqual([
        name,
        jsonOf(`${folder}/${name}/tokens_${version}.json`).tokens
      ]);
    }
    expect(names.length).toBe(samples);
  }
);

test.skipIf(!present)('vocabularies without goldens are read and give text back: Mistral v7 and v7m1', () => {
  for (const name of ['v7', 'v7m1']) {
    const text = sentencePiece(`mistral/mistral_instruct_tokenizer_241114.model.${name}`, 'first')();
    expect(text.vocabSize).toBe(32_768);
    const said = 'Naïve 🩻 ≤ 5 mm — ß,\n  漢字';
    expect(text.decode(text.encode(said)).trimStart()).toBe(said);
  }
});

test.skipIf(!present)("torchtune's small files", () => {
  const ranks = readRanks(textOf('tokenizers/torchtune/tiktoken_small.model'));
  const tokenizer = byteLevelToTokenizer(Object.fromEntries(ranks), mergesOf(ranks), [splitBy(LLAMA3)], {
    ignore_merges: true
  });
  // The ids that torchtune's own tests of these files expect (commit bd2a0fc7).
  expect(
    createText({ tokenizer }).encode(
      'I can see the sun. But even if I cannot see the sun, I know that it exists.'
    )
  ).toEqual([
    ...[
      73, 503, 654, 262, 376, 110, 46, 690, 720, 428, 270, 1119, 654, 262, 376, 110, 44, 270, 686, 334, 312
    ],
    ...[522, 511, 115, 46]
  ]);
  const { pieces } = readSentencePiece(bytesOf('tokenizers/torchtune/m.model'));
  expect(createText({ tokenizer: unigramToTokenizer(pieces) }).encode('Hello world!')).toEqual([
    12, 1803, 1024, 103
  ]);
});

/** Ids of the tokenizers crate 0.23.2. */
const CRATE: [file: string, text: string, ids: number[]][] = [
  [
    'tiny_bpe_tokenizer.json',
    "I'm here: 123 cafés, 漢字 🩻\n\n  two\u0085lines",
    [40, 1791, 207, 101, 25, 95, 16, 17, 18, 910, 69, 82, 11, 95, 95, 94, 94, 95, 532, 75, 893]
  ],
  [
    'tiny_bpe_tokenizer.json',
    '<|im_start|>user\nWhat is the sun?<|im_end|>\n',
    [2001, 273, 105, 94, 1221, 156, 103, 1287, 30, 2002, 94]
  ],
  [
    'tokenizer_gemma_cropped.json',
    'hello there, hi  whatsup?',
    [16, 72, 71, 14, 3, 28, 16, 17, 28, 28, 27, 79, 22, 9]
  ],
  ['tokenizer_gemma_cropped.json', '<bos>é\n b<eos>', [2, 3, 6, 28, 12, 1]]
];
test.skipIf(!present).each(CRATE)('torchtune/%s as the tokenizers crate reads it: %j', (path, said, ids) => {
  expect(createText({ tokenizer: jsonOf(`tokenizers/torchtune/${path}`) }).encode(said)).toEqual(ids);
});
