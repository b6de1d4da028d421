import { error } from '@sveltejs/kit';
import { m } from '$lib/paraglide/messages.js';
import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { List } from '$lib/wire/list';
import type { Pair } from '$lib/wire/pair';
import type { Member } from '$lib/wire/project';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, url, parent }) => {
  const { project } = await parent();
  if (!shows.work(project.role)) error(403, m.work_not_your_role());
  const asked = (name: string) => url.searchParams.get(name)?.trim() || undefined;
  const filter = { rater: asked('rater'), kind: asked('kind'), task: asked('task') };
  const [first, members] = await Promise.all([
    read<List<Pair>>(fetch, `/projects/${params.p}/pairs`, { ...filter, limit: 50 }),
    read<List<Member>>(fetch, `/projects/${params.p}/members`)
  ]);
  return { filter, first, members: members.items };
};
