import { call } from '$lib/ui/api.ts';
import type { Progress } from '$lib/wire/progress';

/** Days end at this device's midnight. */
export const readProgress = (project: string): Promise<Progress> =>
  call<Progress>(fetch, `/projects/${project}/progress`, {
    query: { zone: Intl.DateTimeFormat().resolvedOptions().timeZone }
  });

/** How far this person is with what they mean to judge today, beside the task they are at. */
class Today {
  goal = $state<number | null>(null);
  count = $state(0);
  #followed: string | null = null;

  /** Reads it once for each visit of a project, and again after midnight; nothing is said where it cannot be read. */
  async follow(project: string): Promise<void> {
    const asked = `${project} ${new Date().toDateString()}`;
    if (this.#followed === asked) return;
    this.#followed = asked;
    this.goal = null;
    const progress = await readProgress(project).catch(() => null);
    if (this.#followed !== asked) return;
    if (!progress) return this.forget();
    this.count = progress.days.at(-1)!.mine;
    this.goal = progress.goal;
  }

  /** One more task was judged, or one was taken back. */
  add(change: 1 | -1): void {
    this.count = Math.max(0, this.count + change);
  }

  /** It is read anew when it is next asked for: the goal may be another then. */
  forget(): void {
    this.#followed = null;
  }
}

export const today = new Today();
