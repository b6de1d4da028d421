import { m } from '$lib/paraglide/messages.js';
import type { Role } from '$lib/wire/project';

const names: Record<Role, () => string> = {
  owner: m.role_owner,
  engineer: m.role_engineer,
  adjudicator: m.role_adjudicator,
  reviewer: m.role_reviewer,
  viewer: m.role_viewer
};

export function roleName(role: Role): string {
  return names[role]();
}

/**
 * Which doors a page shows. The server decides by its own table whatever a page shows; this only spares people
 * doors that will not open.
 */
export const shows = {
  judging: (role: Role) => role !== 'viewer',
  work: (role: Role) => role === 'owner' || role === 'engineer' || role === 'viewer',
  workWrite: (role: Role) => role === 'owner' || role === 'engineer',
  people: (role: Role) => role !== 'reviewer',
  members: (role: Role) => role === 'owner'
};
