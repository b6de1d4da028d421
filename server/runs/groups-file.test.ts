import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createText, type Text } from '../../src/lib/text/index.ts';
import { byteTokenizer } from '../../src/lib/text/testing-vocabularies.ts';
import {
  readSafetensorsHeader,
  sliceTensor,
  toBigInt64,
  toInt32
} from '../../src/lib/tensors/safetensors.ts';
import type { DatasetRow } from '../datasets/index.ts';
import { writeGroups } from './groups-file.ts';

const model = new URL('../../../shared/data/tiny-llm-stories260k/hf', import.meta.url).pathname;
const trainer = new URL('../../trainer/build/concord-trainer', import.meta.url).pathname;
const present = existsSync(model) || Boolean(process.env.CI);

let folder: string;
let text: Text;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'concord-groups-'));
  if (!present) return;
  const json = (name: string) => JSON.parse(readFileSync(join(model, name), 'utf8'));
  text = createText({ tokenizer: json('tokenizer.json'), tokenizerConfig: json('tokenizer_config.json') });
});
afterAll(() => rm(folder, { recursive: true }));

function row(task: string, chosen: string, rejected: string, edited = false): DatasetRow {
  const answer = (content: string) => [{ role: 'assistant' as const, content }];
  return {
    seq: 1,
    split: 'train',
    row: {
      prompt: [{ role: 'user', content: `Once upon a time in ${task}` }],
      chosen: answer(` ${chosen}.`),
      rejected: answer(` ${rejected}.`),
      task_id: task,
      chosen_output: chosen,
      rejected_output: rejected,
      ...{
        ranking_id: 'r1',
        ranking_ids: ['r1'],
        rater: 'ada',
        raters: ['ada'],
        ranked_at: '',
        edited
      },
      ...{ picked: [null], strength: null, votes_for: 1, votes_against: 0, votes_tie: 0 }
    }
  };
}

async function* rows(...all: DatasetRow[]) {
  yield* all;
}

async function read(path: string) {
  const bytes = new Uint8Array(await readFile(path));
  const header = readSafetensorsHeader(bytes, path);
  const slice = (name: string) => sliceTensor(bytes, header, name);
  const segments = [...toBigInt64(slice('segments'))].map(Number);
  const tokens = [...toInt32(slice('tokens'))];
  return {
    texts: segments.slice(1).map((end, i) => text.decode(tokens.slice(segments[i]!, end))),
    groups: [...toBigInt64(slice('group_segments'))].map(Number),
    pairs: header.tensors.has('pairs') ? [...toInt32(slice('pairs'))] : null,
    mask: header.tensors.has('token_mask') ? [...slice('token_mask')] : null
  };
}

test.skipIf(!present)('pairs of a task share its prompt and its outputs', async () => {
  const path = join(folder, 'dpo.safetensors');
  const given = rows(
    row('A', 'one', 'two'),
    row('A', 'one', 'three'),
    row('A', 'two', 'three'),
    row('B', 'x', 'y')
  );
  const counts = await writeGroups(path, given, { text, objective: 'dpo' });
  const found = await read(path);
  expect(found.texts.map((said) => said.trim())).toEqual([
    ...['Once upon a time in A', 'one.', 'two.', 'three.'],
    ...['Once upon a time in B', 'x.', 'y.']
  ]);
  expect(found.groups).toEqual([0, 4, 7]);
  expect(found.pairs).toEqual([1, 2, 1, 3, 2, 3, 5, 6]);
  expect(counts).toMatchObject({ groups: 2, completions: 5, pairs: 4, dropped_empty: 0 });
  expect(await readdir(folder)).toEqual(['dpo.safetensors']);
});

test.skipIf(!present)(
  'an edited answer stands beside its original; SFT takes what was chosen, once',
  async () => {
    const path = join(folder, 'edited.safetensors');
    await writeGroups(path, rows(row('A', 'one', 'two'), row('A', 'one', 'one', true)), {
      text,
      objective: 'dpo'
    });
    expect((await read(path)).pairs).toEqual([1, 2, 3, 1]);
    const sft = join(folder, 'sft.safetensors');
    const counts = await writeGroups(sft, rows(row('A', 'one', 'two'), row('A', 'one', 'three')), {
      text,
      objective: 'sft'
    });
    expect((await read(sft)).texts.map((said) => said.trim())).toEqual(['Once upon a time in A', 'one.']);
    expect(counts).toMatchObject({ groups: 1, completions: 1, pairs: 0 });
  }
);

test.skipIf(!present)(
  'a row that cannot be asked of the model is left out, counted, and leaves nothing behind',
  async () => {
    const path = join(folder, 'refused.safetensors');
    const given = rows(
      row('A', 'one', 'two </s> three'),
      row('B', '<s>', 'x'),
      row('C', 'one', 'two'),
      row('C', 'one', '</s>')
    );
    const counts = await writeGroups(path, given, { text, objective: 'dpo' });
    expect(counts).toMatchObject({ groups: 1, completions: 2, pairs: 1, dropped_special_in_text: 3 });
    expect(counts.first_refusal).toContain('contains "</s>", which steers this model');
    const found = await read(path);
    expect(found.texts.map((said) => said.trim())).toEqual(['Once upon a time in C', 'one.', 'two.']);
    expect([found.groups, found.pairs, found.mask]).toEqual([[0, 3], [1, 2], null]);
  }
);

test('marks of the template become the token mask; rows that it refuses are counted', async () => {
  const marked = createText({
    tokenizer: byteTokenizer(),
    tokenizerConfig: {
      eos_token: '<end>',
      chat_template:
        "{% for m in messages %}{% if 'B' in m.content %}{{ raise_exception('no B') }}{% endif %}{% if m.role == 'assistant' %}>{% generation %}{{ m.content }}<end>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}"
    }
  });
  const path = join(folder, 'marked.safetensors');
  const given = rows(row('A', 'x', 'yz'), row('B', 'x', 'y'));
  const counts = await writeGroups(path, given, { text: marked, objective: 'dpo' });
  expect(counts).toMatchObject({ groups: 1, pairs: 1, dropped_template_refused: 1 });
  expect(counts.first_refusal).toBe("The model's chat template refuses this conversation: no B");
  const prompt = 'Once upon a time in A'.length;
  // ">", which stands before the mark, then " x." and the end.
  expect((await read(path)).mask).toEqual([
    ...Array(prompt).fill(1),
    ...[0, 1, 1, 1, 1],
    ...[0, 1, 1, 1, 1, 1]
  ]);
});

test.skipIf(!present)('nothing to write is no file; what the trainer reads is what was written', async () => {
  const none = join(folder, 'none.safetensors');
  expect((await writeGroups(none, rows(), { text, objective: 'dpo' })).groups).toBe(0);
  expect(existsSync(none)).toBe(false);
  const path = join(folder, 'scored.safetensors');
  await writeGroups(path, rows(row('A', 'there was a little girl', 'zq zq zq')), { text, objective: 'dpo' });
  const out = join(folder, 'scores.safetensors');
  await promisify(execFile)(trainer, ['score', '--model', model, '--groups', path, '--out', out]);
  const bytes = new Uint8Array(await readFile(out));
  const logps = new Float32Array(
    sliceTensor(bytes, readSafetensorsHeader(bytes, out), 'logps').slice().buffer
  );
  expect(logps[0]!).toBeGreaterThan(logps[1]!);
});
