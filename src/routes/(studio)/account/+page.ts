import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { TokenShown } from '$lib/wire/me';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, depends }) => {
  depends('concord:tokens');
  return { tokens: (await read<List<TokenShown>>(fetch, '/tokens')).items };
};
