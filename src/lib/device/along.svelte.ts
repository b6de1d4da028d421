import { call } from '$lib/ui/api.ts';
import type { LeasedClients } from '$lib/wire/client';
import { roomName } from '$lib/wire/room';
import type { Task, TasksAlong } from '$lib/wire/task';
import { forgetAnswers, keepAnswers } from './answers.ts';
import { owner, readAll, within, type Along } from './store.ts';

/** Pages of one task that can be opened without a connection, one after the other. */
const CLIENTS = 8;
const AT_ONCE = 4;

/** The tasks that a person has taken along: their texts lie on this device, because they asked for it, and nobody else is handed them. */
class AlongTasks {
  all = $state.raw<readonly Along[]>([]);
  #user: string | null = null;

  /** Reads what this person has on this device. */
  async read(user: string): Promise<void> {
    this.#user = user;
    const found = await readAll(user, 'along').catch(() => []);
    this.all = found.sort((a, b) => a.number - b.number);
    if (this.all.length) owner.set(user);
    else owner.clear();
  }

  has(task: string): boolean {
    return this.all.some((one) => one.task === task);
  }

  of(project: string): Along[] {
    return this.all.filter((one) => one.project === project);
  }

  /** Takes the next tasks of a project along; `progress` hears how many of how many lie here. Throws where the device keeps nothing. */
  async take(project: string, count: number, progress: (done: number, of: number) => void): Promise<void> {
    const user = this.#user!;
    const root = `/projects/${project}`;
    // The browser may refuse; it then clears the device only when that is full.
    await navigator.storage?.persist?.();
    const { items, until } = await call<TasksAlong>(fetch, `${root}/tasks/along`, {
      method: 'POST',
      body: { count }
    });
    try {
      await this.#keepPages(user, root);
      let kept = 0;
      progress(0, items.length);
      const waiting = [...items];
      const take = async () => {
        for (let task = waiting.shift(); task; task = waiting.shift()) {
          await this.#keepTask(user, task, until);
          progress(++kept, items.length);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, take));
    } catch (error) {
      const tasks = items.map(({ id }) => id);
      for (const task of tasks) await this.#forget(user, task).catch(() => {});
      // What cannot be given back now is others' when its time is over.
      if (tasks.length) await giveBack(project, tasks).catch(() => {});
      throw error;
    } finally {
      await this.read(user);
    }
  }

  /** What every page of the project asks for. */
  async #keepPages(user: string, root: string): Promise<void> {
    const paths = ['/me', '/projects', root, `${root}/overview`];
    const values = await Promise.all(paths.map((path) => call<unknown>(fetch, path)));
    await keepAnswers(
      user,
      paths.map((path, at) => ({ path, value: values[at] }))
    );
  }

  async #keepTask(user: string, task: Task, until: string): Promise<void> {
    const room = roomName({ kind: 'ballot', task: task.id, user });
    const before = this.all.find((one) => one.task === task.id)?.clients ?? [];
    const { ids } = await call<LeasedClients>(fetch, '/rooms/clients', {
      method: 'POST',
      body: { room, count: CLIENTS }
    });
    const [itself, rankings] = pathsOf(task.id);
    await keepAnswers(user, [
      { path: itself, value: task },
      { path: rankings, value: { items: [] } }
    ]);
    const { id, number, project } = task;
    const along: Along = {
      task: id,
      number,
      project,
      until,
      clients: [...before, ...ids].slice(-2 * CLIENTS)
    };
    await within(user, 'along', (store) => store.put(along));
  }

  /** A task was judged, skipped or given back: nothing of it stays on the device. */
  async done(task: string): Promise<void> {
    const user = this.#user;
    if (!user || !this.has(task)) return;
    this.all = this.all.filter((one) => one.task !== task);
    await this.#forget(user, task).catch(() => {});
    if (this.all.length) return;
    owner.clear();
    await within(user, 'answers', (store) => store.clear()).catch(() => {});
  }

  async #forget(user: string, task: string): Promise<void> {
    await within(user, 'along', (store) => store.delete(task));
    await forgetAnswers(user, pathsOf(task));
  }

  /** Gives back all tasks of a project that were taken along, but for those in `apart`. */
  async giveBack(project: string, apart: readonly string[]): Promise<void> {
    const tasks = this.of(project)
      .map(({ task }) => task)
      .filter((task) => !apart.includes(task));
    if (!tasks.length) return;
    await giveBack(project, tasks);
    for (const task of tasks) await this.done(task);
  }
}

/** What the page of a task asks the API for. */
const pathsOf = (task: string) => [`/tasks/${task}`, `/tasks/${task}/rankings`] as const;

const giveBack = (project: string, tasks: string[]) =>
  call(fetch, `/projects/${project}/tasks/along`, { method: 'DELETE', body: { tasks } });

export const along = new AlongTasks();
