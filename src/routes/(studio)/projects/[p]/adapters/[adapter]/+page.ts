import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { Adapter } from '$lib/wire/adapter';
import type { Dataset } from '$lib/wire/dataset';
import type { List } from '$lib/wire/list';
import type { Model } from '$lib/wire/model';
import type { Run } from '$lib/wire/run';
import type { Task } from '$lib/wire/task';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent }) => {
  const { project } = await parent();
  if (!shows.work(project.role)) error(403, m.work_not_your_role());
  const root = `/projects/${params.p}`;
  const adapter = await read<Adapter>(fetch, `/adapters/${params.adapter}`);
  const [adapters, tasks, run, dataset, models, parentAdapter] = await Promise.all([
    read<List<Adapter>>(fetch, `${root}/adapters`, { limit: 200 }),
    read<List<Task>>(fetch, `${root}/tasks`, { limit: 50 }),
    read<Run>(fetch, `/runs/${adapter.run}`),
    read<Dataset>(fetch, `/datasets/${adapter.dataset}`),
    read<List<Model>>(fetch, '/models', { limit: 200 }),
    adapter.parent_adapter ? read<Adapter>(fetch, `/adapters/${adapter.parent_adapter}`) : null
  ]);
  // An old one may be beyond the first page of the list; it can still be chosen.
  const known = adapters.items.some(({ id }) => id === adapter.id);
  const model =
    models.items.find(({ id }) => id === adapter.model) ??
    (await read<Model>(fetch, `/models/${adapter.model}`));
  return {
    ...{ adapter, model, run, dataset, tasks, parentAdapter, models: models.items },
    adapters: known ? adapters.items : [adapter, ...adapters.items]
  };
};
