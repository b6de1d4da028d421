import type { Adapter } from '../wire/adapter.ts';
import type { Message } from '../wire/task.ts';
import { PreviewClient } from './client.ts';
import { PreviewFailure, type Ended, type Failure, type Fetched, type Side } from './protocol.ts';
import type { Sampling } from './sampler.ts';

export interface SideText {
  text: string;
  ended: Ended | null;
}

export interface Asked {
  adapter: Pick<Adapter, 'id' | 'model' | 'files'>;
  messages: Message[];
  sampling: Sampling;
  max_new_tokens: number;
}

const empty = (): SideText => ({ text: '', ended: null });

/** What the preview page shows. Nothing is fetched before somebody asks for a text. */
export class PreviewState {
  busy = $state<'loading' | 'preparing' | 'writing' | null>(null);
  progress = $state({ bytes: 0, bytes_max: 0 });
  sides = $state<Record<Side, SideText>>({ base: empty(), adapter: empty() });
  /** The adapter whose text stands beside the base's. */
  shown = $state<string | null>(null);
  threads = $state<number | null>(null);
  prompt_tokens = $state<number | null>(null);
  fetched = $state<{ base: Fetched | null; adapter: Fetched | null }>({ base: null, adapter: null });
  failure = $state.raw<Failure | null>(null);
  model = $state<string | null>(null);
  #adapter: string | null = null;
  #client: PreviewClient | null = null;

  async generate(asked: Asked): Promise<void> {
    this.failure = null;
    this.sides = { base: empty(), adapter: empty() };
    this.shown = asked.adapter.id;
    try {
      await this.#load(asked.adapter.model);
      await this.#take(asked.adapter);
      this.busy = 'writing';
      const { messages, sampling, max_new_tokens } = asked;
      await this.#worker().generate(
        { messages, sampling, max_new_tokens, sides: ['base', 'adapter'] },
        {
          prompted: (tokens) => void (this.prompt_tokens = tokens),
          text: (side, text) => void (this.sides[side].text += text),
          ended: (side, ended) => void (this.sides[side].ended = ended)
        }
      );
    } catch (thrown) {
      if (this.#client) this.#fail(thrown);
    }
    this.busy = null;
  }

  /** While a base loads there is nothing to keep: the worker ends, and what has arrived whole stays on the device. */
  stop(): void {
    if (this.busy === 'writing') this.#client?.stop();
    else this.close();
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
    this.model = this.#adapter = null;
    this.busy = null;
  }

  #worker(): PreviewClient {
    return (this.#client ??= new PreviewClient());
  }

  async #load(model: string): Promise<void> {
    if (this.model === model) return;
    this.busy = 'loading';
    this.model = this.#adapter = null;
    this.progress = { bytes: 0, bytes_max: 0 };
    const { threads, fetched } = await this.#worker().load(model, (bytes, bytes_max) => {
      this.progress = { bytes, bytes_max };
      if (bytes === bytes_max) this.busy = 'preparing';
    });
    this.threads = threads;
    this.fetched = { base: fetched, adapter: null };
    this.model = model;
  }

  async #take(adapter: Asked['adapter']): Promise<void> {
    if (this.#adapter === adapter.id) return;
    this.busy = 'preparing';
    this.fetched.adapter = await this.#worker().useAdapter(adapter);
    this.#adapter = adapter.id;
  }

  #fail(thrown: unknown): void {
    this.failure =
      thrown instanceof PreviewFailure
        ? thrown.failure
        : { code: 'unexpected', detail: thrown instanceof Error ? thrown.message : String(thrown) };
    // A worker in an unknown state, or one that holds all the memory, is of no more use.
    if (this.failure.code !== 'said' && this.failure.code !== 'prompt_too_long') this.close();
  }
}
