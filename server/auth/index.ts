export { createAuth, type Auth } from './auth.ts';
export { api } from './api.ts';
export { can, type Action } from './can.ts';
export type { Actor } from './actor.ts';
export { standings, type Standing } from './standing.ts';
export { memberOf, projectById, roleOf, type ProjectRow } from './membership.ts';
export { changeMember, checkJudges, membersOf } from './members.ts';
export { changeProject, createProject, projectJson } from './projects.ts';
export { ensureBootstrapOwner } from './bootstrap.ts';
