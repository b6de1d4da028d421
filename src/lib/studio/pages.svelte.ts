import { call } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';

type Query = Record<string, string | number | undefined | null>;

/** A list that grows page by page below its first page, which came with the load. */
export class Pages<T> {
  readonly #path: string;
  readonly #query: Query;
  items = $state.raw<T[]>([]);
  cursor = $state<string | null>(null);
  busy = $state(false);
  problem = $state.raw<unknown>(null);

  constructor(path: string, query: Query, first: List<T>) {
    this.#path = path;
    this.#query = query;
    this.items = first.items;
    this.cursor = first.next_cursor;
  }

  async more(): Promise<void> {
    if (!this.cursor || this.busy) return;
    this.busy = true;
    this.problem = null;
    try {
      const query = { ...this.#query, cursor: this.cursor };
      const next = await call<List<T>>(fetch, this.#path, { query });
      this.items = [...this.items, ...next.items];
      this.cursor = next.next_cursor;
    } catch (thrown) {
      this.problem = thrown;
    }
    this.busy = false;
  }
}
