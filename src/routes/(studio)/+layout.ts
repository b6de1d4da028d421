import { load as read } from '$lib/ui/api.ts';
import type { List } from '$lib/wire/list';
import type { Me } from '$lib/wire/me';
import type { Project } from '$lib/wire/project';
import type { LayoutLoad } from './$types';

export const load: LayoutLoad = async ({ fetch, depends }) => {
  depends('concord:projects');
  const [me, { items }] = await Promise.all([
    read<Me>(fetch, '/me'),
    read<List<Project>>(fetch, '/projects')
  ]);
  return { me, projects: items };
};
