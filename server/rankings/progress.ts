import type { Services } from '../services.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import { countsOf } from '../tasks/index.ts';
import type { Tell } from './announce.ts';

/**
 * Tells a project's lobby how far its tasks are, at most once in `limits.rankings.progress_ms`: two hundred people who judge
 * at once cost one count and one message.
 */
export function createProgress({ db }: Pick<Services, 'db'>, tell: Tell): (projectId: string) => void {
  const due = new Set<string>();
  return (projectId) => {
    if (due.has(projectId)) return;
    due.add(projectId);
    setTimeout(() => {
      due.delete(projectId);
      countsOf(db, projectId)
        .then((tasks) => tell({ kind: 'lobby', project: projectId }, { kind: 'progress', tasks }))
        // Pages read the counts with their next task anyhow.
        .catch((error: unknown) => log.warn('progress was not told', { error, project: projectId }));
    }, limits.rankings.progress_ms).unref();
  };
}
