import { parseRoom, type Room as RoomName } from '#wire/room.ts';
import type { Role } from '#wire/project.ts';
import { can, memberOf, type Actor } from '../auth/index.ts';
import type { Services } from '../services.ts';
import { findTask, hasRanked, seesOthers, seesTable, type TaskRecord } from '../tasks/index.ts';

/** `presence`: a lobby has people in it and no document. */
export type Right = 'write' | 'read' | 'presence';

export interface Entry {
  name: RoomName;
  right: Right;
  /** The caller's, when this was asked. */
  role: Role;
  projectId: string;
  /** Of the room's task. */
  outputs: ReadonlySet<string>;
  /** What presence may say besides who it is: in a ballot nothing, in a lobby the task one is on, at a table what one looks at and holds. */
  presenceKeys: ReadonlySet<string>;
}

const NOTHING: ReadonlySet<string> = new Set();

/** What the caller may do in a room; null for rooms that are not, and for those that are none of their business. */
export async function entryTo(services: Services, actor: Actor, room: string): Promise<Entry | null> {
  const name = parseRoom(room);
  if (!name) return null;
  if (name.kind === 'lobby') {
    const member = await memberOf(services.db, actor, name.project);
    const presenceKeys = new Set(['task']);
    if (!member) return null;
    const { role } = member;
    return { name, right: 'presence', role, projectId: name.project, outputs: NOTHING, presenceKeys };
  }
  const task = await findTask(services.db, name.task);
  const member = task && (await memberOf(services.db, actor, task.projectId));
  if (!task || !member) return null;
  const { role, project } = member;
  const caller = { services, actor, project: { id: project.id, role, mode: project.mode } };
  const right =
    name.kind === 'ballot' ? await toBallot(caller, name.user, task) : await toTable(caller, task);
  const presenceKeys = name.kind === 'table' ? new Set(['task', 'output', 'at']) : NOTHING;
  const outputs = new Set(task.outputs.map(({ id }) => id));
  return right && { name, right, role, projectId: project.id, outputs, presenceKeys };
}

type Caller = Parameters<typeof seesOthers>[0];

/** One's own; those who adjudicate read it once it was submitted. */
async function toBallot(caller: Caller, userId: string, task: TaskRecord): Promise<Right | null> {
  const { actor, project, services } = caller;
  if (userId === actor.id) return can(project.role, 'task.judge') ? 'write' : null;
  if (!can(project.role, 'task.reveal') || !(await hasRanked(services.db, task.id, userId))) return null;
  return (await seesOthers(caller, task)) ? 'read' : null;
}

async function toTable(caller: Caller, task: TaskRecord): Promise<Right | null> {
  if (!(await seesTable(caller, task))) return null;
  return can(caller.project.role, 'task.judge') ? 'write' : 'read';
}
