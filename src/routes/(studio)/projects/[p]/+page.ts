import { load as read } from '$lib/ui/api.ts';
import type { Overview } from '$lib/wire/overview';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params }) => ({
  overview: await read<Overview>(fetch, `/projects/${params.p}/overview`)
});
