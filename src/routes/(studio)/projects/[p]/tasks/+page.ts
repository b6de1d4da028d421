import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { Member } from '$lib/wire/project';
import type { Task } from '$lib/wire/task';
import type { PageLoad } from './$types';

/** Filters are the API's own, and stand in the address. */
export const load: PageLoad = async ({ fetch, params, url, depends }) => {
  depends('concord:tasks');
  const asked = (name: string) => url.searchParams.get(name)?.trim() || undefined;
  const names = ['q', 'status', 'mine', 'specialty', 'person'] as const;
  const filter = Object.fromEntries(names.map((name) => [name, asked(name)])) as Partial<
    Record<(typeof names)[number], string>
  >;
  const [first, members] = await Promise.all([
    read<List<Task>>(fetch, `/projects/${params.p}/tasks`, { ...filter, limit: 50 }),
    read<List<Member>>(fetch, `/projects/${params.p}/members`)
  ]);
  return { filter, first, members: members.items };
};
