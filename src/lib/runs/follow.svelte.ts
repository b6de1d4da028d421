import type { Run, TrainerEvent } from '$lib/wire/run';
import { address } from '$lib/ui/api.ts';
import { withEvents, type Figures } from './figures.ts';

const FLUSH_MS = 60;

export const isActive = ({ status }: Run) => status === 'queued' || status === 'running';

/** A run as it goes on: the browser's EventSource comes back by itself and asks for what it has missed. */
export class Following {
  run = $state.raw() as Run;
  figures = $state.raw<Figures>({});
  /** The trainer's `start` event: the job with every default, and what of the data is used. */
  start = $state.raw<TrainerEvent | null>(null);
  /** How often the trainer was started again at a checkpoint. */
  resumed = $state(0);
  connected = $state(true);
  /** Not `run.id`: listening must not begin anew whenever the run changes. */
  readonly #id: string;
  #pending: TrainerEvent[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(run: Run) {
    this.run = run;
    this.#id = run.id;
  }

  /** Listens until the run has ended or the answer is called. */
  listen(): () => void {
    const source = new EventSource(address(`/runs/${this.#id}/events`));
    source.onopen = () => (this.connected = true);
    source.onerror = () => (this.connected = false);
    source.onmessage = ({ data }) => this.#take(JSON.parse(data) as TrainerEvent);
    source.addEventListener('run', ({ data }) => {
      this.#flush();
      this.run = JSON.parse(data) as Run;
      if (!isActive(this.run)) source.close();
    });
    return () => {
      source.close();
      if (this.#timer) clearTimeout(this.#timer);
    };
  }

  /** Steps may come by the hundred: they are drawn together. */
  #take(event: TrainerEvent): void {
    this.#pending.push(event);
    this.#timer ??= setTimeout(() => this.#flush(), FLUSH_MS);
  }

  #flush(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    const events = this.#pending.splice(0);
    if (!events.length) return;
    const starts = events.filter(({ event }) => event === 'start');
    this.start = starts.at(-1) ?? this.start;
    this.resumed += starts.filter((event) => 'resumed_from' in event).length;
    this.figures = withEvents(this.figures, events);
  }
}
