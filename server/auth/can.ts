import type { Role } from '#wire/project.ts';

/**
 * What members may do, by role: the table of the API contract ("Who may do what"). Deny by default: an action that
 * a role does not list is refused. Rules that hang on a task's state (own ballot, reveal, blindness) are asked where
 * the task is known, after this table has said yes.
 */
const table = {
  owner: [
    'project.read',
    'project.write',
    'work.read',
    'work.write',
    'task.read',
    'task.judge',
    'task.assign',
    'norming.lead',
    'ranking.read',
    'agreement.read',
    'task.reveal',
    'dataset.sign',
    'audit.read'
  ],
  engineer: [
    'project.read',
    'work.read',
    'work.write',
    'task.read',
    'task.judge',
    'task.assign',
    'norming.lead',
    'ranking.read',
    'agreement.read'
  ],
  adjudicator: [
    'project.read',
    'task.read',
    'task.judge',
    'norming.lead',
    'ranking.read',
    'agreement.read',
    'task.reveal',
    'dataset.sign'
  ],
  reviewer: ['project.read', 'task.read', 'task.judge', 'ranking.read'],
  viewer: ['project.read', 'work.read', 'task.read', 'ranking.read', 'agreement.read']
} as const satisfies Record<Role, readonly string[]>;

/** `work` is imports, pairs, datasets, models, runs, adapters and exports. */
export type Action = (typeof table)[Role][number];

export function can(role: Role, action: Action): boolean {
  return (table[role] as readonly string[]).includes(action);
}
