import { expect, test } from 'vitest';
import { others } from './people.ts';

test('the others are those the server names; oneself and states without a name are left out', () => {
  const states = new Map<number, Record<string, unknown>>([
    [1, { user: { id: 'ada', name: 'Ada' }, task: 't1' }],
    [2, { user: { id: 'bo', name: 'Bo' }, task: 't2', output: 7, at: 'o1' }],
    [3, { task: 't3' }],
    [4, { user: { id: 'ada', name: 'Ada' } }]
  ]);
  expect(others(states, 1)).toEqual([
    { user: 'bo', name: 'Bo', task: 't2', output: null, at: 'o1' },
    { user: 'ada', name: 'Ada', task: null, output: null, at: null }
  ]);
});
