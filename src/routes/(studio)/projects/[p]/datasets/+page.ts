import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { Dataset } from '$lib/wire/dataset';
import type { List } from '$lib/wire/list';
import type { Overview } from '$lib/wire/overview';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent }) => {
  const { project } = await parent();
  if (!shows.work(project.role)) error(403, m.work_not_your_role());
  const [first, { work }] = await Promise.all([
    read<List<Dataset>>(fetch, `/projects/${params.p}/datasets`, { limit: 50 }),
    read<Overview>(fetch, `/projects/${params.p}/overview`)
  ]);
  return { first, pairs: work!.pairs };
};
