import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { List } from '$lib/wire/list';
import type { NormingShown } from '$lib/wire/norming';
import type { Member } from '$lib/wire/project';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, parent }) => {
  const { project } = await parent();
  const [first, members] = await Promise.all([
    read<List<NormingShown>>(fetch, `/projects/${params.p}/norming`, { limit: 50 }),
    shows.norming(project.role) ? read<List<Member>>(fetch, `/projects/${params.p}/members`) : null
  ]);
  return { first, members: members?.items ?? [] };
};
