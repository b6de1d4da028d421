import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { Adapter } from '$lib/wire/adapter';
import type { Dataset } from '$lib/wire/dataset';
import type { Model } from '$lib/wire/model';
import type { Run } from '$lib/wire/run';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent }) => {
  const { project } = await parent();
  if (!shows.work(project.role)) error(403, m.work_not_your_role());
  const run = await read<Run>(fetch, `/runs/${params.run}`);
  const [dataset, model, parentAdapter] = await Promise.all([
    read<Dataset>(fetch, `/datasets/${run.dataset}`),
    read<Model>(fetch, `/models/${run.model}`),
    run.parent_adapter ? read<Adapter>(fetch, `/adapters/${run.parent_adapter}`) : null
  ]);
  return { run, dataset, model, parentAdapter };
};
