import type { Services } from '../services.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import { countsOf } from '../tasks/index.ts';
import type { Tell } from './announce.ts';

/**
 * Tells a project's lobby how far its tasks are, at most once in `limits.rankings.progress_ms`: two hundred people who judge
 * at once cost one count and one message.
 */
export function createProgress({ db }: Pick<Services, 'db'>, send: Tell) {
  const due = new Map<string, ReturnType<typeof setTimeout>>();

  async function count(projectId: string): Promise<void> {
    due.delete(projectId);
    try {
      const tasks = await countsOf(db, projectId);
      send({ kind: 'lobby', project: projectId }, { kind: 'progress', tasks });
    } catch (error) {
      // Pages read the counts with their next task anyhow.
      log.warn('progress was not told', { error, project: projectId });
    }
  }

  return {
    tell(projectId: string): void {
      if (due.has(projectId)) return;
      due.set(
        projectId,
        setTimeout(() => void count(projectId), limits.rankings.progress_ms)
      );
    },
    /** Nobody is there any more to be told. */
    close(): void {
      for (const timer of due.values()) clearTimeout(timer);
    }
  };
}
