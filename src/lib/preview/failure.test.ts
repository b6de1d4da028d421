import { expect, test } from 'vitest';
import { AdapterError } from './adapter.ts';
import { failureOf } from './failure.ts';
import { PreviewFailure } from './protocol.ts';

test.each([
  'Array buffer allocation failed',
  'Invalid typed array length: 9000000000',
  'WebAssembly.Memory(): could not allocate memory',
  "Can't create a session. ERROR_CODE: 6, ERROR_MESSAGE: std::bad_alloc",
  'Failed to allocate memory for requested buffer of size 4294967296',
  'Out of memory',
  'Aborted(OOM)',
  'memory access out of bounds'
])('"%s" is memory running out', (message) => {
  expect(failureOf(new RangeError(message))).toEqual({ code: 'memory' });
});

test.each([
  "no available backend found. ERR: [wasm] RuntimeError: Aborted(NetworkError: Failed to execute 'send' on 'XMLHttpRequest': Failed to load 'http://127.0.0.1:4000/_app/ort.wasm'.)",
  'Failed to fetch',
  'NetworkError when attempting to fetch resource.'
])('"%s" is a server out of reach', (message) => {
  expect(failureOf(new TypeError(message))).toEqual({ code: 'unreachable' });
});

test('an allocation that the browser itself refuses is memory running out', () => {
  let thrown: unknown;
  try {
    new Uint8Array(2 ** 52);
  } catch (error) {
    thrown = error;
  }
  expect(failureOf(thrown)).toEqual({ code: 'memory' });
});

test('sentences are passed on, all else is named as unexpected', () => {
  const failure = { code: 'prompt_too_long', tokens: 9, tokens_max: 8 } as const;
  expect(failureOf(new PreviewFailure(failure))).toBe(failure);
  expect(failureOf(new AdapterError('r is 0.'))).toEqual({ code: 'said', detail: 'r is 0.' });
  expect(failureOf(new Error('odd'))).toEqual({ code: 'unexpected', detail: 'odd' });
  expect(failureOf(6_273_024)).toEqual({ code: 'unexpected', detail: '6273024' });
});
