import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readConfig } from '../config.ts';

/** Where the trainer is not built, tests of runs are passed over; a machine that is to prove the whole has it. */
export const trainerBuilt =
  existsSync(readConfig({ CONCORD_TRAINER: process.env.CONCORD_TRAINER }).trainer) || Boolean(process.env.CI);

/** A base of random weights with a tokenizer of single bytes, made by the real trainer within milliseconds. */
export async function makeModel(trainer: string, folder: string): Promise<void> {
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    ...{ hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, vocab_size: 264 },
    ...{ num_attention_heads: 2, num_key_value_heads: 2, max_position_embeddings: 512 },
    ...{ rms_norm_eps: 1e-5, rope_theta: 10_000, hidden_act: 'silu', tie_word_embeddings: true },
    ...{ bos_token_id: 256, eos_token_id: 257, torch_dtype: 'float32' }
  };
  await mkdir(folder, { recursive: true });
  const file = join(folder, '..', 'config-of-a-test-model.json');
  await writeFile(file, JSON.stringify(config));
  const { status, stderr } = spawnSync(trainer, ['init', '--config', file, '--seed', '7', '--out', folder], {
    encoding: 'utf8'
  });
  if (status !== 0) throw new Error(`The trainer made no model: ${stderr}`);
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(byteTokenizer()));
  await writeFile(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ bos_token: '<s>', eos_token: '</s>' })
  );
}

/** GPT-2's byte-level BPE without merges: each byte is a token. */
function byteTokenizer(): unknown {
  const printable = [...range(33, 126), ...range(161, 172), ...range(174, 255)];
  const others = range(0, 255).filter((byte) => !printable.includes(byte));
  const letters = [...printable, ...others.map((_, i) => 256 + i)].map((code) => String.fromCodePoint(code));
  const special = ['<s>', '</s>'].map((content, i) => ({
    ...{ id: 256 + i, content, special: true },
    ...{ single_word: false, lstrip: false, rstrip: false, normalized: false }
  }));
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    added_tokens: special,
    ...{ normalizer: null, pre_tokenizer: bytes, post_processor: null, decoder: bytes },
    model: {
      ...{ type: 'BPE', vocab: Object.fromEntries(letters.map((letter, i) => [letter, i])), merges: [] },
      ...{ unk_token: null, byte_fallback: false, fuse_unk: false }
    }
  };
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
