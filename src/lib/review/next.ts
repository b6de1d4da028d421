import { keptAnswer } from '$lib/device/answers.ts';
import { along } from '$lib/device/along.svelte.ts';
import { outbox } from '$lib/device/outbox.svelte.ts';
import { call, Refusal } from '$lib/ui/api.ts';
import type { Task } from '$lib/wire/task';

/** A server that says nothing for so long is not asked again for this task. */
const PATIENCE_MS = 3_000;

/**
 * The task that comes after one, leased from the server; without a connection, or where judgements of this project still
 * wait to be sent, the next of those that were taken along. Null where nothing is left.
 */
export async function nextTask(project: string, after?: string): Promise<Task | null> {
  const kept = await keptNext(project, after);
  const isBehind = outbox.all.some((one) => one.project === project && !one.refused);
  if (kept && isBehind) return kept;
  const signal = kept ? AbortSignal.timeout(PATIENCE_MS) : undefined;
  try {
    const path = `/projects/${project}/tasks/next`;
    const given = await call<Task | null>(fetch, path, { method: 'POST', query: { after }, signal });
    return given && outbox.find(given.id) ? kept : given;
  } catch (error) {
    if (kept && error instanceof Refusal && error.status === 0) return kept;
    throw error;
  }
}

async function keptNext(project: string, after: string | undefined): Promise<Task | null> {
  const found = along.of(project).find(({ task }) => task !== after && !outbox.find(task));
  return found ? (((await keptAnswer(`/tasks/${found.task}`)) as Task | undefined) ?? null) : null;
}
