import { error } from '@sveltejs/kit';
import { load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import { m } from '$lib/paraglide/messages.js';
import type { Import } from '$lib/wire/import';
import type { List } from '$lib/wire/list';
import type { PageLoad } from './$types';

export const load: PageLoad = async ({ fetch, params, url, parent, depends }) => {
  depends('concord:imports');
  const { project } = await parent();
  if (!shows.work(project.role)) error(403, m.work_not_your_role());
  const id = url.searchParams.get('import');
  const [{ items }, current] = await Promise.all([
    read<List<Import>>(fetch, `/projects/${params.p}/imports`, { limit: 20 }),
    id ? read<Import>(fetch, `/imports/${encodeURIComponent(id)}`) : null
  ]);
  // Asked for at the same moment, the list may be a blink older than the import itself.
  return { imports: items.map((one) => (one.id === current?.id ? current : one)), current };
};
