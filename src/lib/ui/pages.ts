import { m } from '$lib/paraglide/messages.js';
import type { Role } from '$lib/wire/project';
import { shows } from './roles.ts';

export interface ProjectPage {
  /** Below the project's address. */
  path: string;
  name: () => string;
  shown: (role: Role) => boolean;
}

/** In the order of the flow. */
const pages: ProjectPage[] = [
  { path: '', name: m.nav_overview, shown: () => true },
  { path: '/import', name: m.nav_import, shown: shows.workWrite },
  { path: '/tasks', name: m.nav_tasks, shown: () => true },
  { path: '/review', name: m.nav_review, shown: shows.judging },
  { path: '/table', name: m.nav_tables, shown: () => true },
  { path: '/norming', name: m.norming_title, shown: shows.norming },
  { path: '/pairs', name: m.nav_pairs, shown: shows.work },
  { path: '/datasets', name: m.nav_datasets, shown: shows.work },
  { path: '/runs', name: m.nav_runs, shown: shows.work },
  { path: '/adapters', name: m.nav_adapters, shown: shows.work },
  { path: '/members', name: m.nav_members, shown: shows.people },
  { path: '/settings', name: m.nav_settings, shown: shows.people }
];

/** `onPanel`: has a norming session, whatever the role. */
export function pagesFor(role: Role, onPanel = false): ProjectPage[] {
  return pages.filter(({ shown, path }) => shown(role) || (onPanel && path === '/norming'));
}
