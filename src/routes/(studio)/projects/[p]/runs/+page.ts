import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { Dataset } from '$lib/wire/dataset';
import type { List } from '$lib/wire/list';
import type { Model } from '$lib/wire/model';
import type { Run } from '$lib/wire/run';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent }) => {
  const { project } = await parent();
  if (!shows.work(project.role)) error(403, m.work_not_your_role());
  const [first, models, datasets] = await Promise.all([
    read<List<Run>>(fetch, `/projects/${params.p}/runs`, { limit: 50 }),
    read<List<Model>>(fetch, '/models', { limit: 200 }),
    read<List<Dataset>>(fetch, `/projects/${params.p}/datasets`, { limit: 200 })
  ]);
  return { first, models: models.items, datasets: datasets.items };
};
