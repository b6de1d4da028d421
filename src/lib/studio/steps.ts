import { m } from '$lib/paraglide/messages.js';
import { number } from '$lib/ui/format.ts';
import { shows } from '$lib/ui/roles.ts';
import type { Overview } from '$lib/wire/overview';
import type { Project } from '$lib/wire/project';

export function pairsCount({ count, complete }: { count: number; complete: boolean }): string {
  return complete ? m.work_count_pairs({ count }) : m.work_count_pairs_more({ n: number(count) });
}

export interface Step {
  path: string;
  name: string;
  /** Its number, and a plus where there are more than were counted. */
  count: string;
  reached: boolean;
}

/** The loop in one line: how much each part of it holds. */
export function stepsOf({ tasks, rankings, work }: Overview): Step[] {
  const step = (path: string, name: string, count: number, more = false): Step => ({
    ...{ path, name, count: number(count) + (more ? '+' : '') },
    reached: count > 0
  });
  const judging = [step('/tasks', m.nav_tasks(), tasks.total), step('/tasks', m.work_rankings(), rankings)];
  if (!work) return judging;
  return [
    ...judging,
    step('/pairs', m.nav_pairs(), work.pairs.count, !work.pairs.complete),
    step('/datasets', m.nav_datasets(), work.datasets),
    step('/runs', m.nav_runs(), work.runs),
    step('/adapters', m.nav_adapters(), work.adapters)
  ];
}

export interface Next {
  text: string;
  action: string;
  path: string;
}

/** What to do next, the one thing; null where nothing waits for this person. */
export function nextOf(project: Project, { tasks, rankings, work }: Overview): Next | null {
  const writes = shows.workWrite(project.role);
  const review = {
    ...{ text: m.work_next_review({ count: tasks.todo }), action: m.work_next_review_do(), path: '/review' }
  };
  if (writes && !tasks.total)
    return { text: m.work_next_import(), action: m.work_next_import_do(), path: '/import' };
  if (writes && work?.runs_active)
    return { text: m.work_next_watch(), action: m.work_next_watch_do(), path: '/runs' };
  if (writes && work && work.pairs.count > 0 && !work.datasets)
    return { text: m.work_next_freeze(), action: m.work_next_freeze_do(), path: '/datasets?freeze' };
  if (writes && work && work.datasets > 0 && !work.runs)
    return { text: m.work_next_run(), action: m.work_next_run_do(), path: '/runs/new' };
  if (tasks.todo) return review;
  if (project.role === 'owner' && tasks.total && !rankings)
    return { text: m.work_next_invite(), action: m.work_next_invite_do(), path: '/members' };
  if (work?.adapters) return { text: m.work_next_try(), action: m.work_next_try_do(), path: '/adapters' };
  return null;
}
