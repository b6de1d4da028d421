import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { Overview } from '$lib/wire/overview';
import type { Ranking } from '$lib/wire/ranking';
import type { Task } from '$lib/wire/task';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('concord:task');
  const [task, { items: rankings }, overview] = await Promise.all([
    read<Task>(fetch, `/tasks/${params.task}`),
    read<List<Ranking>>(fetch, `/tasks/${params.task}/rankings`),
    read<Overview>(fetch, `/projects/${params.p}/overview`)
  ]);
  if (task.project !== params.p) error(404, m.error_not_found_text());
  return { task, rankings, overview };
};
