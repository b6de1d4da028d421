import type { AdapterFile } from '../wire/adapter.ts';
import type { Message } from '../wire/task.ts';
import type { Sampling } from './sampler.ts';

export type Side = 'base' | 'adapter';

/** What a page asks of the worker. Answers carry the `id` of what they answer. */
export type Request =
  | { kind: 'load'; id: number; model: string }
  | { kind: 'adapter'; id: number; adapter: string; files: AdapterFile[] }
  | {
      kind: 'generate';
      id: number;
      messages: Message[];
      sides: Side[];
      sampling: Sampling;
      max_new_tokens: number;
    }
  | { kind: 'stop' };

/** Bytes over the network and bytes that this browser had kept. */
export interface Fetched {
  downloaded_bytes: number;
  cached_bytes: number;
}

/** `context`: the base reads no more tokens. */
export type Ending = 'eos' | 'length' | 'context' | 'stopped';

export interface Ended {
  reason: Ending;
  tokens: number;
  tokens_per_second: number;
}

export type Answer =
  | { kind: 'progress'; id: number; bytes: number; bytes_max: number }
  | { kind: 'loaded'; id: number; fetched: Fetched; threads: number; seconds: number }
  | { kind: 'adapter_loaded'; id: number; fetched: Fetched }
  | { kind: 'prompted'; id: number; tokens: number }
  | { kind: 'text'; id: number; side: Side; text: string }
  | { kind: 'ended'; id: number; side: Side; ended: Ended }
  | { kind: 'done'; id: number }
  | { kind: 'failed'; id: number; failure: Failure };

/** `said`: the sentence is in `detail`; the others are worded by the page. */
export type Failure =
  | { code: 'said'; detail: string }
  | { code: 'unreachable' }
  | { code: 'memory' }
  | { code: 'prompt_too_long'; tokens: number; tokens_max: number }
  | { code: 'unexpected'; detail: string };

/** Thrown inside the worker and sent to the page as it is. */
export class PreviewFailure extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(failure.code === 'said' || failure.code === 'unexpected' ? failure.detail : failure.code);
    this.failure = failure;
  }
}
