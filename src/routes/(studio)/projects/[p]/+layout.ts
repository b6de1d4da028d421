import { load as read } from '$lib/ui/api.ts';
import type { Project } from '$lib/wire/project';
import type { LayoutLoad } from './$types';

/** Children find `me` and `project`, with the caller's role in it, in their `data`. */
export const load: LayoutLoad = async ({ fetch, params, depends }) => {
  depends('concord:project');
  return { project: await read<Project>(fetch, `/projects/${params.p}`) };
};
