import type { Adapter } from '../wire/adapter.ts';
import {
  PreviewFailure,
  type Answer,
  type Ended,
  type Fetched,
  type Request,
  type Side
} from './protocol.ts';

type Outgoing = Exclude<Request, { kind: 'stop' }>;
type AnswerOf<K extends Answer['kind']> = Extract<Answer, { kind: K }>;

export interface GenerationEvents {
  prompted(tokens: number): void;
  text(side: Side, text: string): void;
  ended(side: Side, ended: Ended): void;
}

/** The page's side of the preview's worker. Every method throws PreviewFailure. */
export class PreviewClient {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, (answer: Answer) => void>();
  private ids = 0;

  constructor() {
    this.worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    this.worker.onmessage = ({ data }: MessageEvent<Answer>) => this.waiting.get(data.id)?.(data);
    // A worker that cannot start, or that the browser ended for its memory, answers nothing any more.
    this.worker.onerror = ({ message }) => this.failAll(message || 'The worker ended.');
  }

  load(model: string, onProgress: (bytes: number, bytes_max: number) => void): Promise<AnswerOf<'loaded'>> {
    return this.ask({ kind: 'load', model }, 'loaded', (answer) => {
      if (answer.kind === 'progress') onProgress(answer.bytes, answer.bytes_max);
    });
  }

  async useAdapter({ id, files }: Pick<Adapter, 'id' | 'files'>): Promise<Fetched> {
    return (await this.ask({ kind: 'adapter', adapter: id, files }, 'adapter_loaded')).fetched;
  }

  async generate(
    request: Omit<Extract<Request, { kind: 'generate' }>, 'kind' | 'id'>,
    events: GenerationEvents
  ): Promise<void> {
    await this.ask({ kind: 'generate', ...request }, 'done', (answer) => {
      if (answer.kind === 'prompted') events.prompted(answer.tokens);
      if (answer.kind === 'text') events.text(answer.side, answer.text);
      if (answer.kind === 'ended') events.ended(answer.side, answer.ended);
    });
  }

  stop(): void {
    this.worker.postMessage({ kind: 'stop' } satisfies Request);
  }

  close(): void {
    this.worker.terminate();
    this.waiting.clear();
  }

  private ask<K extends Answer['kind']>(
    request: Outgoing extends infer R ? (R extends Outgoing ? Omit<R, 'id'> : never) : never,
    last: K,
    onAnswer: (answer: Answer) => void = () => {}
  ): Promise<AnswerOf<K>> {
    const id = ++this.ids;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, (answer) => {
        onAnswer(answer);
        if (answer.kind !== last && answer.kind !== 'failed') return;
        this.waiting.delete(id);
        if (answer.kind === 'failed') reject(new PreviewFailure(answer.failure));
        else resolve(answer as AnswerOf<K>);
      });
      this.worker.postMessage({ ...request, id } as Request);
    });
  }

  private failAll(detail: string): void {
    for (const [id, hear] of this.waiting)
      hear({ kind: 'failed', id, failure: { code: 'unexpected', detail } });
  }
}
