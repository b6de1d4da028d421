import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { TableShown } from '$lib/wire/remark';
import type { PageLoad } from './$types';

/** The filter is the API's own, and stands in the address. */
export const load: PageLoad = async ({ fetch, params, url }) => {
  const unread = url.searchParams.get('unread') === 'true' ? 'true' : undefined;
  const first = await read<List<TableShown>>(fetch, `/projects/${params.p}/tables`, { unread, limit: 50 });
  return { filter: { unread }, first };
};
