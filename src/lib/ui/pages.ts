import { m } from '$lib/paraglide/messages.js';
import type { Project, Role } from '$lib/wire/project';
import { shows } from './roles.ts';

export interface ProjectPage {
  /** Below the project's address. */
  path: string;
  name: () => string;
  /** `onPanel`: has a norming session of this project. */
  shown: (role: Role, project: Project, onPanel: boolean) => boolean;
}

/** In the order of the flow. */
const pages: ProjectPage[] = [
  { path: '', name: m.nav_overview, shown: () => true },
  { path: '/import', name: m.nav_import, shown: shows.workWrite },
  { path: '/tasks', name: m.nav_tasks, shown: () => true },
  { path: '/review', name: m.nav_review, shown: shows.judging },
  { path: '/table', name: m.nav_tables, shown: () => true },
  {
    path: '/norming',
    name: m.norming_title,
    // Only a blind project has panels.
    shown: (role, { review }, onPanel) => review.mode === 'blind' && (shows.norming(role) || onPanel)
  },
  { path: '/pairs', name: m.nav_pairs, shown: shows.work },
  { path: '/datasets', name: m.nav_datasets, shown: shows.work },
  { path: '/runs', name: m.nav_runs, shown: shows.work },
  { path: '/adapters', name: m.nav_adapters, shown: shows.work },
  { path: '/members', name: m.nav_members, shown: shows.people },
  { path: '/settings', name: m.nav_settings, shown: shows.people }
];

export function pagesFor(project: Project, onPanel = false): ProjectPage[] {
  return pages.filter(({ shown }) => shown(project.role, project, onPanel));
}
