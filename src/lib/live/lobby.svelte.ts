import { getContext, setContext } from 'svelte';
import * as Y from 'yjs';
import type { News } from '$lib/wire/news';
import { roomName } from '$lib/wire/room';
import { Deliveries } from './deliveries.ts';
import { Hearers, type Heard } from './heard.ts';
import { openLine, type Line } from './line.ts';
import { others, type Here } from './people.ts';

type Counts = Extract<News, { kind: 'progress' }>['tasks'];

const KEY = Symbol('lobby');

/** Who is in the project and on which task. It says that they are there, never what they do. */
export class Lobby {
  people = $state.raw<Here[]>([]);
  /** Where all tasks stand, as it was told last; null where nothing was told since the page came, or the line was away. */
  tasks = $state.raw<Counts | null>(null);
  #line: Line | null = null;
  #task: string | null = null;
  readonly #hearers = new Hearers();

  /** Connects; the answer leaves. */
  open(project: string): () => void {
    const doc = new Y.Doc();
    const line = openLine(roomName({ kind: 'lobby', project }), doc, new Deliveries(), {
      news: (news) => {
        if (news.kind === 'progress') this.tasks = news.tasks;
        this.#hearers.each((one) => one.news?.(news));
      },
      synced: () => {
        this.tasks = null;
        this.#hearers.each((one) => one.synced?.());
      }
    });
    const { awareness } = line.provider;
    awareness.on('change', () => (this.people = others(awareness.getStates(), doc.clientID)));
    this.#line = line;
    this.#say();
    return () => {
      this.#line = null;
      this.people = [];
      this.tasks = null;
      line.close();
      doc.destroy();
    };
  }

  /** Hears what the server tells of the project; the answer stops that. */
  hear(hearer: Heard): () => void {
    return this.#hearers.add(hearer);
  }

  /** Tells the others which task this page has open; the answer takes it back. */
  at(task: string): () => void {
    this.#task = task;
    this.#say();
    return () => {
      if (this.#task !== task) return;
      this.#task = null;
      this.#say();
    };
  }

  #say(): void {
    this.#line?.say(this.#task ? { task: this.#task } : {});
  }
}

/** For a project's layout. */
export const provideLobby = (): Lobby => setContext(KEY, new Lobby());
export const useLobby = (): Lobby => getContext(KEY);
