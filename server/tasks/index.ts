import { and, asc, eq, gt, sql } from 'drizzle-orm';
import type { z } from 'zod';
import { listOf } from '#wire/list.ts';
import { GiveBack, NextQuery, SkipTask, TakeAlong, Task, TaskQuery, TasksAlong } from '#wire/task.ts';
import type { Queryable } from '../db/index.ts';
import { limits } from '../limits.ts';
import { notFound } from '../net/fault.ts';
import { json, type Call, type RoomApi, type Route } from '../net/route.ts';
import { giveBack, skip, unskip } from './leases.ts';
import { progress } from './progress.ts';
import { askerOf, leaseAlong, leaseNext, oneAtATime, type Asker } from './queue.ts';
import { listTasks, readTask, type Reader } from './read.ts';
import { isInBrowser } from './shown.ts';
import { task } from './tables.ts';
import { findTasks, type TaskRecord } from './task.ts';

export * from './task.ts';
export { moveOverlap } from './overlap.ts';
export { givePanel } from './panel.ts';
export { giveTasks, type Recipient, type Selection } from './give.ts';
export { passNoMore } from './places.ts';
export { barTo, hasRanked, judgesIn, noteRanked, noteWithdrawn, pickedOf } from './leases.ts';
export * from './margins.ts';
export * from './uncertainty.ts';
export { countsOf, standingOf, type Standing } from './standing.ts';
export { askerOf } from './queue.ts';
export { peopleAtTable, seesOthers, seesTable } from './sight.ts';
export { orderShown } from './shown.ts';

const readerOf = ({ actor, project }: Call): Reader => ({
  userId: actor.id,
  role: project.role,
  inBrowser: isInBrowser(actor)
});

/** Whoever asks is read as they are once it is their turn: what they may be handed may have changed while they waited. */
const asAsker = <R>(
  { services, project, actor }: Call,
  ask: (tx: Queryable, asker: Asker) => Promise<R>
): Promise<R> =>
  services.db.transaction(async (tx) => {
    await oneAtATime(tx, { projectId: project.id });
    return ask(tx, await askerOf(tx, project.id, actor.id));
  });

const list: Route = {
  method: 'GET',
  path: '/projects/{project}/tasks',
  summary: 'Tasks of a project, by number',
  access: { who: 'member', action: 'task.read', object: 'project' },
  query: TaskQuery,
  answers: { 200: listOf(Task) },
  handle: async (call) =>
    json(200, await listTasks(call.services.db, call.project.id, call.query, readerOf(call)))
};

const read: Route = {
  method: 'GET',
  path: '/tasks/{task}',
  summary: 'One task with its outputs',
  access: { who: 'member', action: 'task.read', object: 'task' },
  answers: { 200: Task },
  async handle(call) {
    const found = await readTask(call.services.db, call.params.task!, readerOf(call));
    if (!found) throw notFound('task');
    return json(200, found);
  }
};

const next: Route = {
  method: 'POST',
  path: '/projects/{project}/tasks/next',
  summary: "Leases the caller's next task; 204 where nothing is left",
  access: { who: 'member', action: 'task.judge', object: 'project' },
  query: NextQuery,
  answers: { 200: Task, 204: null },
  async handle(call) {
    const { db } = call.services;
    const { after } = call.query;
    const id = await asAsker(call, (tx, asker) => leaseNext(tx, asker, after ? [after] : []));
    if (!id) return new Response(null, { status: 204 });
    return json(200, await readTask(db, id, readerOf(call)));
  }
};

const skipRoute: Route = {
  method: 'POST',
  path: '/tasks/{task}/skip',
  summary: 'Gives a task back without judging it',
  access: { who: 'member', action: 'task.judge', object: 'task' },
  body: SkipTask,
  answers: { 204: null },
  async handle({ services, params, actor, body }) {
    await skip(services.db, params.task!, actor.id, body.reason ?? null);
    return new Response(null, { status: 204 });
  }
};

const unskipRoute: Route = {
  method: 'DELETE',
  path: '/tasks/{task}/skip',
  summary: "Takes the caller's skip of a task back; it comes in its turn again",
  access: { who: 'member', action: 'task.judge', object: 'task' },
  answers: { 204: null },
  async handle({ services, params, actor }) {
    await unskip(services.db, params.task!, actor.id);
    return new Response(null, { status: 204 });
  }
};

const giveBackRoute: Route = {
  method: 'DELETE',
  path: '/tasks/{task}/lease',
  summary: 'Gives back a task that the caller was handed and has not judged, as if they never had it',
  access: { who: 'member', action: 'task.judge', object: 'task' },
  answers: { 204: null },
  async handle({ services, params, actor }) {
    await giveBack(services.db, [params.task!], actor.id);
    return new Response(null, { status: 204 });
  }
};

const takeAlong: Route = {
  method: 'POST',
  path: '/projects/{project}/tasks/along',
  summary: "Leases the caller's next tasks for hours, for work without a connection",
  access: { who: 'member', action: 'task.judge', object: 'project' },
  body: TakeAlong,
  answers: { 200: TasksAlong },
  async handle(call) {
    const { db } = call.services;
    const { count } = call.body as z.infer<typeof TakeAlong>;
    const until = new Date(Date.now() + limits.tasks.along_hours * 3_600_000).toISOString();
    const ids = await asAsker(call, (tx, asker) => leaseAlong(tx, asker, count));
    const items = await Promise.all(ids.map((id) => readTask(db, id, readerOf(call))));
    return json(200, { items, until });
  }
};

const giveBackAlong: Route = {
  method: 'DELETE',
  path: '/projects/{project}/tasks/along',
  summary: 'Gives back tasks that the caller took along and has not judged',
  access: { who: 'member', action: 'task.judge', object: 'project' },
  body: GiveBack,
  answers: { 204: null },
  async handle({ services, actor, body }) {
    await giveBack(services.db, (body as z.infer<typeof GiveBack>).tasks, actor.id);
    return new Response(null, { status: 204 });
  }
};

/** The tasks of a project that somebody judged, by number, some at a time, from the one after `after`. */
export async function* eachJudgedTask(
  db: Queryable,
  projectId: string,
  after = 0,
  atOnce = 500
): AsyncGenerator<TaskRecord[]> {
  for (let last = after; ;) {
    const ids = await db
      .select({ id: task.id, number: task.number })
      .from(task)
      .where(and(eq(task.projectId, projectId), gt(task.number, last), sql`${task.judged}`))
      .orderBy(asc(task.number))
      .limit(atOnce);
    if (!ids.length) return;
    yield await findTasks(
      db,
      ids.map(({ id }) => id)
    );
    last = ids.at(-1)!.number;
  }
}

export const api: RoomApi = {
  routes: [list, progress, next, takeAlong, giveBackAlong, read, skipRoute, unskipRoute, giveBackRoute],
  locate: {
    task: async ({ db }, id) => {
      const [row] = await db.select({ projectId: task.projectId }).from(task).where(eq(task.id, id));
      return row?.projectId ?? null;
    }
  }
};
