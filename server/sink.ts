import type { Sink } from './intake/index.ts';
import { addImportedVotes } from './rankings/index.ts';
import { addTasks, contentHashOf, knownContent } from './tasks/index.ts';

/** Rows of an import become tasks, and their votes rankings, in the import's transaction. */
export const intoTasks: Sink = {
  contentHash: contentHashOf,
  known: knownContent,
  async add(tx, projectId, importId, rows) {
    const given = rows.map(({ line, contentHash, task }) => ({
      ...{ projectId, importId, line, contentHash },
      ...{ prompt: task.prompt, outputs: task.outputs, specialty: task.specialty, metadata: task.metadata }
    }));
    const added = await addTasks(tx, projectId, given);
    await addImportedVotes(
      tx,
      added.map((task, i) => ({ task, votes: rows[i]!.task.votes }))
    );
  }
};
