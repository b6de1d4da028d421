import { call, load as read } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { List } from '$lib/wire/list';
import type { Overview } from '$lib/wire/overview';
import type { Run } from '$lib/wire/run';
import type { PageLoad } from './$types';

const RUNS_SHOWN = 8;

export const load: PageLoad = async ({ fetch, parent }) => {
  const { projects } = await parent();
  const overviews = await Promise.all(
    projects.map(async (project) => ({
      project,
      overview: await read<Overview>(fetch, `/projects/${project.id}/overview`)
    }))
  );
  const withRuns = overviews.filter(
    ({ project, overview }) => shows.work(project.role) && overview.work?.runs
  );
  const lists = await Promise.all(
    withRuns.map(async ({ project }) => {
      const query = { limit: RUNS_SHOWN };
      const { items } = await call<List<Run>>(fetch, `/projects/${project.id}/runs`, { query });
      return items.map((run) => ({ run, project }));
    })
  );
  const runs = lists.flat().sort((a, b) => b.run.created_at.localeCompare(a.run.created_at));
  return { overviews, runs: runs.slice(0, RUNS_SHOWN) };
};
