import type { News } from '$lib/wire/news';

/** What a part of a page wants to hear of a room. */
export interface Heard {
  news?(news: News): void;
  /** The line is there, for the first time or again: what was told meanwhile has to be read. */
  synced?(): void;
}

export class Hearers {
  readonly #all = new Set<Heard>();

  /** The answer takes it off again. */
  add(hearer: Heard): () => void {
    this.#all.add(hearer);
    return () => this.#all.delete(hearer);
  }

  each(tell: (hearer: Heard) => void): void {
    for (const hearer of this.#all) tell(hearer);
  }
}
