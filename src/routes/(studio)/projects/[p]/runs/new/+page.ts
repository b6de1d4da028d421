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

/** `?dataset=` and `?parent=` choose what stands in the form, `?from=` takes everything of an earlier run. */
export const load: PageLoad = async ({ fetch, params, parent, url }) => {
  const { project } = await parent();
  if (!shows.workWrite(project.role)) error(403, m.work_not_your_role());
  const from = url.searchParams.get('from');
  const [datasets, models, adapters, earlier] = await Promise.all([
    read<List<Dataset>>(fetch, `/projects/${params.p}/datasets`, { limit: 200 }),
    read<List<Model>>(fetch, '/models', { limit: 200 }),
    read<List<Adapter>>(fetch, `/projects/${params.p}/adapters`, { limit: 200 }),
    from ? read<Run>(fetch, `/runs/${from}`) : null
  ]);
  return {
    ...{ datasets: datasets.items, models: models.items, adapters: adapters.items, earlier },
    dataset: url.searchParams.get('dataset') ?? earlier?.dataset ?? datasets.items[0]?.id ?? '',
    parentAdapter: url.searchParams.get('parent') ?? earlier?.parent_adapter ?? ''
  };
};
