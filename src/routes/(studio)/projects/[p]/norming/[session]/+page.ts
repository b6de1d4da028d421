import { load as read } from '$lib/ui/api.ts';
import type { NormingSession } from '$lib/wire/norming';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, depends }) => {
  depends('concord:norming');
  return { session: await read<NormingSession>(fetch, `/norming/${params.session}`) };
};
