import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { isOpen } from '$lib/table/table.svelte.ts';
import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { Ranking } from '$lib/wire/ranking';
import type { Discussion } from '$lib/wire/remark';
import type { Task } from '$lib/wire/task';
import type { PageLoad } from './$types';

/** `table` is null while it is closed to the caller: nothing of it is even asked for then. */
export const load: PageLoad = async ({ fetch, params, parent, depends }) => {
  depends('concord:task');
  const [task, { project }] = await Promise.all([read<Task>(fetch, `/tasks/${params.task}`), parent()]);
  if (task.project !== params.p) error(404, m.error_not_found_text());
  if (!isOpen(task, project)) return { task, table: null };
  const [{ items: rankings }, remarks] = await Promise.all([
    read<List<Ranking>>(fetch, `/tasks/${task.id}/rankings`),
    read<Discussion>(fetch, `/tasks/${task.id}/remarks`, { limit: 200 })
  ]);
  return { task, table: { rankings, remarks } };
};
