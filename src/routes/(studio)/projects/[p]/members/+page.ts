import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { Member } from '$lib/wire/project';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('concord:members');
  return { members: (await read<List<Member>>(fetch, `/projects/${params.p}/members`)).items };
};
