import type { z } from 'zod';
import { AssignedTasks, AssignTasks } from '#wire/assigning.ts';
import { appendAudit } from './audit/index.ts';
import { checkJudges } from './auth/index.ts';
import { limits } from './limits.ts';
import { Fault } from './net/fault.ts';
import { json, type RoomApi, type Route } from './net/route.ts';
import { underSession } from './norming/index.ts';
import { giveTasks, type Recipient, type Selection } from './tasks/index.ts';

type Given = z.output<typeof AssignTasks>;

/** It stands beside the composition root: tasks that a norming session works on are known to its own room. */
const assign: Route = {
  method: 'POST',
  path: '/projects/{project}/tasks/assign',
  summary: 'Gives tasks to certain people, to a specialty or to everybody; says which could not be given',
  access: { who: 'member', action: 'task.assign', object: 'project' },
  body: AssignTasks,
  answers: { 200: AssignedTasks },
  async handle({ services, actor, project, body }) {
    const wanted = selectionOf(body);
    const to = recipientOf(body);
    const done = await services.db.transaction(async (tx) => {
      if ('people' in to) await checkJudges(tx, project.id, to.people, 'people');
      const { ids, refused } = await giveTasks(tx, project.id, wanted, to, underSession);
      const entry = { actor, action: 'task.assign', object: project.id, projectId: project.id };
      if (ids.length) await appendAudit(tx, { ...entry, facts: { tasks: ids, ...to } });
      return { given: ids.length, refused };
    });
    return json(200, done);
  }
};

function selectionOf({ tasks }: Given): Selection {
  const max = limits.tasks.given_at_once_max;
  const tooMany = new Fault(422, 'invalid', `tasks: at most ${max} tasks are given at once.`);
  if (typeof tasks !== 'string') {
    const ids = [...new Set(tasks)];
    if (ids.length > max) throw tooMany;
    return ids;
  }
  const [from, to] = tasks.split('-').map(Number) as [number, number];
  if (to < from) throw new Fault(422, 'invalid', 'tasks: write the lower number first, like 120-180.');
  if (to - from >= max) throw tooMany;
  return { from, to };
}

function recipientOf({ people: given, overlap, specialty }: Given): Recipient {
  if (!given) {
    if (overlap !== undefined)
      throw new Fault(422, 'invalid', 'overlap: only tasks for certain people have one of their own.');
    return { specialty: specialty! };
  }
  const people = [...new Set(given)];
  const max = limits.tasks.people_given_max;
  if (people.length > max)
    throw new Fault(422, 'invalid', `people: a task is given to ${max} people at most.`);
  if (overlap !== undefined && overlap > people.length)
    throw new Fault(422, 'invalid', 'overlap: no more than there are people.');
  return { people, overlap };
}

export const api: RoomApi = { routes: [assign] };
