import { expect, test } from 'vitest';
import { RowFault } from './imported.ts';
import { detectShape, readRow } from './shapes.ts';

const user = (content: string) => ({ role: 'user', content });
const assistant = (content: string) => ({ role: 'assistant', content });

/** prompt, then the outputs best first as the only vote has them. */
function best(row: unknown) {
  const { prompt, outputs, votes } = readRow(row, null);
  return {
    prompt,
    ranked: votes[0]?.tiers.map((tier) => tier.map((i) => outputs[i]!.text)),
    rater: votes[0]?.rater
  };
}
function codeOf(row: unknown, mapping: Parameters<typeof readRow>[1] = null): string {
  try {
    readRow(row, mapping);
  } catch (error) {
    if (error instanceof RowFault) return error.code;
    throw error;
  }
  return 'accepted';
}

test.each([
  ['standard', { prompt: 'p', chosen: 'c', rejected: 'r' }],
  ['conversational', { prompt: [user('p')], chosen: [assistant('c')], rejected: [assistant('r')] }],
  [
    'conversational, implicit prompt',
    { chosen: [user('p'), assistant('c')], rejected: [user('p'), assistant('r')] }
  ],
  ['dialogue text', { chosen: '\n\nHuman: p\n\nAssistant: c', rejected: '\n\nHuman: p\n\nAssistant: r' }],
  [
    'LLaMA-Factory ranking',
    {
      conversations: [{ from: 'human', value: 'p' }],
      chosen: { from: 'gpt', value: 'c' },
      rejected: { from: 'gpt', value: 'r' }
    }
  ],
  ['Alpaca ranking', { instruction: 'p', input: '', chosen: 'c', rejected: 'r' }]
])('a preference, %s', (_, row) => {
  expect(best(row)).toEqual({ prompt: [user('p')], ranked: [['c'], ['r']], rater: 'import' });
});

test('a preference is a ranking by the source that it names; other keys are metadata', () => {
  const row = { prompt: 'p', chosen: 'c', rejected: 'r', rater: 'Dr. A', topic: 'x' };
  expect(best(row).rater).toBe('Dr. A');
  expect(readRow(row, null).metadata).toEqual({ rater: 'Dr. A', topic: 'x' });
});

test('a key or a column `specialty` says whose members the task is for', () => {
  const row = { prompt: 'p', chosen: 'c', rejected: 'r', specialty: '  Thorax  CT ', topic: 'x' };
  expect(readRow(row, null)).toMatchObject({ specialty: 'thorax ct', metadata: { topic: 'x' } });
  expect(readRow({ prompt: 'p', specialty: '' }, null)).toMatchObject({ specialty: null, metadata: null });
  const columns = { prompt: '{ask}', outputs: ['one'] };
  expect(readRow({ ask: 'p', one: 'a', specialty: 'Neuro' }, columns).specialty).toBe('neuro');
  // A column that the mapping uses is the mapping's.
  const inPrompt = { ...columns, prompt: '{ask} {specialty}' };
  expect(readRow({ ask: 'p', one: 'a', specialty: 'Neuro' }, inPrompt).specialty).toBeNull();
  for (const specialty of [' ', 7, ['thorax'], 'x'.repeat(61), 'a\u0007b'])
    expect(codeOf({ ...row, specialty })).toBe('bad_specialty');
});

test('the chosen one does not always stand first', () => {
  const firsts = Array.from({ length: 40 }, (_, i) => {
    const { votes } = readRow({ prompt: 'p', chosen: `c${i}`, rejected: `r${i}` }, null);
    return votes[0]!.tiers[0]![0];
  });
  const share = firsts.filter((place) => place === 0).length;
  expect(share).toBeGreaterThan(8);
  expect(share).toBeLessThan(32);
});

test('dialogues that part before their last turn keep what follows as text', () => {
  const row = {
    chosen: '\n\nHuman: q\n\nAssistant: one\n\nHuman: more\n\nAssistant: fine',
    rejected: '\n\nHuman: q\n\nAssistant: two'
  };
  expect(best(row)).toMatchObject({
    prompt: [user('q')],
    ranked: [['one\n\nHuman: more\n\nAssistant: fine'], ['two']]
  });
});

test('K outputs with sources and a ranking with a tie', () => {
  const row = { prompt: 'p', outputs: ['a', { text: 'b', source: 'm' }, 'c'], ranking: [[2], [0, 1]] };
  const task = readRow(row, null);
  expect(task.outputs).toEqual([
    { text: 'a', source: null },
    { text: 'b', source: 'm' },
    { text: 'c', source: null }
  ]);
  expect(task.votes).toEqual([{ rater: 'import', tiers: [[2], [0, 1]] }]);
});

test.each([
  ['prompt and completion', { prompt: 'p', completion: 'c' }, [user('p')]],
  ['messages', { messages: [user('p'), assistant('c')] }, [user('p')]],
  ['Alpaca', { instruction: 'do', input: 'it', output: 'c' }, [user('do\n\nit')]],
  ['plain text', { text: 'c' }, []]
])('one output: %s', (_, row, prompt) => {
  expect(readRow(row, null)).toMatchObject({ prompt, outputs: [{ text: 'c' }], votes: [] });
});

test('a prompt alone has no outputs', () => {
  expect(readRow({ prompt: 'p' }, null)).toMatchObject({ prompt: [user('p')], outputs: [], votes: [] });
});

test('half a preference is no prompt', () => {
  const half = () => readRow({ prompt: 'p', rejected: 'r' }, null);
  expect(half).toThrow('The row has "rejected" without "chosen"; give both, or import with a mapping.');
});

test.each([
  ['not_object', [1]],
  ['missing_key', { prompt: 'p', chosen: 'c' }],
  ['missing_key', { prompt: 'p', chosen: 'c', rejected: null }],
  ['missing_key', { chosen: 'c' }],
  ['missing_key', { prompt: 'p', ranking: [[0]] }],
  ['not_object', null],
  ['unknown_shape', { question: 'q' }],
  ['unknown_shape', { prompt: null }],
  ['empty_text', { prompt: ' ' }],
  ['same_outputs', { prompt: 'p', chosen: 'x', rejected: 'x' }],
  ['no_shared_prompt', { chosen: 'x', rejected: 'y' }],
  ['no_shared_prompt', { chosen: [user('p'), assistant('c')], rejected: [user('q'), assistant('r')] }],
  ['bad_messages', { prompt: [{ role: 'robot', content: 'p' }] }],
  ['bad_messages', { messages: [user('p')] }],
  ['bad_completion', { prompt: 'p', chosen: [user('c')], rejected: 'r' }],
  ['bad_outputs', { prompt: 'p', outputs: 'a' }],
  ['bad_ranking', { prompt: 'p', outputs: ['a'], ranking: [[1]] }],
  ['bad_ranking', { prompt: 'p', outputs: ['a', 'b'], ranking: [[0], [0]] }],
  ['bad_ranking', { prompt: 'p', outputs: ['a'], ranking: 'a' }],
  ['bad_character', { prompt: 'a\0b' }],
  ['bad_character', { prompt: 'p', note: '\ud800' }],
  ['too_many_outputs', { prompt: 'p', outputs: Array.from({ length: 27 }, String) }],
  ['accepted', { prompt: 'p', outputs: Array.from({ length: 26 }, String) }],
  ['metadata_too_large', { prompt: 'p', note: 'x'.repeat(70_000) }]
])('refused as %s', (code, row) => {
  expect(codeOf(row)).toBe(code);
});

const mapping = {
  prompt: '{instruction}\n\n{input}',
  outputs: ['one', 'two'],
  votes: [{ column: 'vote', rater: 'ann', values: { '1': [[0], [1]], '0': [[0, 1]] } }]
};

test('a mapping makes prompt, outputs and votes of columns, numbers included', () => {
  const row = { instruction: 'do', input: '', one: 'a', two: 'b', vote: 1, id: 7 };
  expect(readRow(row, mapping)).toEqual({
    prompt: [user('do')],
    outputs: [
      { text: 'a', source: 'one' },
      { text: 'b', source: 'two' }
    ],
    votes: [{ rater: 'ann', tiers: [[0], [1]] }],
    specialty: null,
    metadata: { id: 7 }
  });
  expect(readRow({ ...row, vote: '' }, mapping).votes).toEqual([]);
  expect(codeOf({ ...row, vote: 5 }, mapping)).toBe('unknown_vote');
  expect(codeOf({ ...row, vote: 'constructor' }, mapping)).toBe('unknown_vote');
  expect(codeOf({ instruction: 'do', input: '', one: 'a', vote: 1 }, mapping)).toBe('missing_column');
});

test('shapes are known by their keys', () => {
  expect(detectShape(['chosen', 'rejected', 'x'])).toBe('preference_implicit');
  expect(detectShape(['response1'])).toBeNull();
  expect(detectShape(['prompt', 'chosen'])).toBeNull();
});
