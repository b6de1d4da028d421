import { getContext, setContext } from 'svelte';
import type { Lobby } from '$lib/live/lobby.svelte.ts';
import { call } from '$lib/ui/api.ts';
import type { Unread } from '$lib/wire/remark';

const KEY = Symbol('news');

/** Something at a table that this person should know of: that it is open, or that somebody mentioned them there. */
export interface Item {
  key: string;
  task: string;
  number: number;
  /** Who mentioned them; null where the table has just opened. */
  by: string | null;
}

/** More than these would be a list, which the page of the tables is. */
const SHOWN = 3;

/** What is new at a project's tables, wherever in the project this person is. */
export class News {
  unread = $state.raw<Unread>({ tables: 0, mentions: 0 });
  items = $state.raw<readonly Item[]>([]);
  #project: string | null = null;

  /** Follows a project's tables through its lobby; the answer stops that. */
  follow(project: string, me: string, lobby: Lobby): () => void {
    this.#project = project;
    const leave = lobby.hear({
      news: (told) => {
        const { task, number } = told as { task: string; number: number };
        if (told.kind === 'revealed') this.#show({ key: `open/${task}`, task, number, by: null });
        if (told.kind !== 'discussed' || told.by.id === me) return;
        void this.count();
        if (told.mentioned.includes(me))
          this.#show({ key: `mention/${task}/${told.by.id}`, task, number, by: told.by.name });
      },
      synced: () => void this.count()
    });
    return () => {
      leave();
      this.#project = null;
      this.items = [];
      this.unread = { tables: 0, mentions: 0 };
    };
  }

  async count(): Promise<void> {
    const project = this.#project;
    if (!project) return;
    const unread = await call<Unread>(fetch, `/projects/${project}/unread`).catch(() => null);
    if (unread && project === this.#project) this.unread = unread;
  }

  /** A task's table was looked at: nothing of it is new any more. */
  read(task: string): void {
    this.items = this.items.filter((item) => item.task !== task);
    void this.count();
  }

  dismiss(key: string): void {
    this.items = this.items.filter((item) => item.key !== key);
  }

  #show(item: Item): void {
    this.items = [...this.items.filter(({ key }) => key !== item.key), item].slice(-SHOWN);
  }
}

/** For a project's layout. */
export const provideNews = (): News => setContext(KEY, new News());
export const useNews = (): News => getContext(KEY);
