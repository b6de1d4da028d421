import { m } from '$lib/paraglide/messages.js';
import type { Role } from '$lib/wire/project';

const names: Record<Role, () => string> = {
  owner: m.role_owner,
  engineer: m.role_engineer,
  adjudicator: m.role_adjudicator,
  reviewer: m.role_reviewer,
  viewer: m.role_viewer
};

const may: Record<Role, () => string> = {
  owner: m.work_members_can_owner,
  engineer: m.work_members_can_engineer,
  adjudicator: m.work_members_can_adjudicator,
  reviewer: m.work_members_can_reviewer,
  viewer: m.work_members_can_viewer
};

/** As a person chooses one of them: most are reviewers. */
export const roles: Role[] = ['reviewer', 'adjudicator', 'engineer', 'viewer', 'owner'];

/** What a role may do, in a sentence. */
export function roleMay(role: Role): string {
  return may[role]();
}

export function roleName(role: Role): string {
  return names[role]();
}

/**
 * Which doors a page shows. The server decides by its own table whatever a page shows; this only spares people
 * doors that will not open.
 */
export const shows = {
  norming: (role: Role) => role === 'owner' || role === 'engineer' || role === 'adjudicator',
  assigning: (role: Role) => role === 'owner' || role === 'engineer',
  judging: (role: Role) => role !== 'viewer',
  work: (role: Role) => role === 'owner' || role === 'engineer' || role === 'viewer',
  workWrite: (role: Role) => role === 'owner' || role === 'engineer',
  people: (role: Role) => role !== 'reviewer',
  members: (role: Role) => role === 'owner'
};
