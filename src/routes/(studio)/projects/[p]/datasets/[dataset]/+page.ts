import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { Dataset } from '$lib/wire/dataset';
import type { List } from '$lib/wire/list';
import type { Member } from '$lib/wire/project';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent }) => {
  const { project } = await parent();
  if (!shows.work(project.role)) error(403, m.work_not_your_role());
  const [dataset, members] = await Promise.all([
    read<Dataset>(fetch, `/datasets/${params.dataset}`),
    read<List<Member>>(fetch, `/projects/${params.p}/members`)
  ]);
  if (dataset.project !== project.id) error(404, m.error_not_found_text());
  return { dataset, members: members.items };
};
