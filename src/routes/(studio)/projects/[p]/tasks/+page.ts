import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { Task } from '$lib/wire/task';
import type { PageLoad } from './$types';

/** Filters are the API's own, and stand in the address. */
export const load: PageLoad = async ({ fetch, params, url }) => {
  const asked = (name: string) => url.searchParams.get(name)?.trim() || undefined;
  const filter = { q: asked('q'), status: asked('status'), mine: asked('mine') };
  const first = await read<List<Task>>(fetch, `/projects/${params.p}/tasks`, { ...filter, limit: 50 });
  return { filter, first };
};
