import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { Adapter } from '$lib/wire/adapter';
import type { Dataset } from '$lib/wire/dataset';
import type { List } from '$lib/wire/list';
import type { Model } from '$lib/wire/model';
import type { Run } from '$lib/wire/run';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent }) => {
  const { project } = await parent();
  if (!shows.work(project.role)) error(403, m.work_not_your_role());
  const root = `/projects/${params.p}`;
  const [first, runs, datasets, models] = await Promise.all([
    read<List<Adapter>>(fetch, `${root}/adapters`, { limit: 50 }),
    read<List<Run>>(fetch, `${root}/runs`, { limit: 200 }),
    read<List<Dataset>>(fetch, `${root}/datasets`, { limit: 200 }),
    read<List<Model>>(fetch, '/models', { limit: 200 })
  ]);
  const names = new Map(
    [...runs.items, ...datasets.items, ...models.items].map(({ id, name }) => [id, name])
  );
  return { first, names };
};
