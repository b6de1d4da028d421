import { preloadData } from '$app/navigation';
import { along } from '$lib/device/along.svelte.ts';
import type { Me } from '$lib/wire/me';
import type { Project } from '$lib/wire/project';
import { nextTask } from './next.ts';
import { Session } from './session.svelte.ts';

/** Held back longer than this, a task may have gone to somebody else; well below the server's lease. */
const FRESH_MS = 10 * 60_000;

interface Prepared {
  task: string;
  project: string;
  session: Session;
  at: number;
}

/**
 * The task after the one on screen: handed out, read, its room open and its page loaded before anybody asks for it, so
 * that it is there in the moment in which this one is submitted. Given back where the person goes elsewhere.
 */
class Upcoming {
  #prepared: Prepared | null = null;
  /** The task on screen; it is never the one that comes after. */
  #current: string | null = null;
  #isPreparing = false;

  /** Gets the task after `current` ready; does nothing where that is done or under way. */
  async prepare(project: Project, me: Me, current: string): Promise<void> {
    this.#current = current;
    if (this.#isPreparing) return;
    this.#isPreparing = true;
    try {
      // Who went to another task meanwhile needs what comes after that one.
      let after: string;
      do {
        after = this.#current;
        if (!this.#isReady(project.id)) await this.#read(project, me, after);
      } while (this.#current !== null && this.#current !== after);
    } catch {
      // It comes later then, by the ordinary way.
    } finally {
      this.#isPreparing = false;
    }
  }

  async #read(project: Project, me: Me, after: string): Promise<void> {
    this.#drop();
    const task = await nextTask(project.id, after);
    if (!task || task.id === this.#current) return;
    if (this.#current === null) return giveBack(task.id);
    const session = new Session(task, project, me);
    this.#prepared = { task: task.id, project: project.id, session, at: Date.now() };
    session.warm();
    await preloadData(`/projects/${project.id}/review/${task.id}`);
  }

  #isReady(project: string): boolean {
    const prepared = this.#prepared;
    if (prepared?.project !== project || prepared.task === this.#current) return false;
    return Date.now() - prepared.at < FRESH_MS;
  }

  /** The page of the task that is ready; null where none is. */
  page(project: string): string | null {
    return this.#isReady(project) ? `/projects/${project}/review/${this.#prepared!.task}` : null;
  }

  /** Puts a task on screen: answers what is ready of it; null where another one is ready, or none. */
  take(task: string): Session | null {
    this.#current = task;
    if (this.#prepared?.task !== task) return null;
    const { session } = this.#prepared;
    this.#prepared = null;
    return session;
  }

  /** Nobody will look at it: somebody else may have it. */
  release(): void {
    this.#current = null;
    this.#drop();
  }

  #drop(): void {
    const prepared = this.#prepared;
    this.#prepared = null;
    if (!prepared) return;
    prepared.session.leave();
    if (prepared.task !== this.#current) giveBack(prepared.task);
  }
}

/** Also from a page that is being closed. */
function giveBack(task: string): void {
  if (along.has(task)) return;
  void fetch(`/api/v1/tasks/${task}/lease`, { method: 'DELETE', keepalive: true }).catch(() => {});
}

export const upcoming = new Upcoming();
