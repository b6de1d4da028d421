import { eq } from 'drizzle-orm';
import { listOf, PageQuery } from '#wire/list.ts';
import { BeginNorming, NormingSession, NormingShown } from '#wire/norming.ts';
import { can } from '../auth/index.ts';
import { Fault } from '../net/fault.ts';
import { json, type RoomApi, type Route } from '../net/route.ts';
import { listSessions, readSession } from './read.ts';
import { begin, close, isOnPanel } from './sessions.ts';
import { normingSession } from './tables.ts';

export { underSession } from './sessions.ts';

const list: Route = {
  method: 'GET',
  path: '/projects/{project}/norming',
  summary: 'Norming sessions that the caller is on the panel of, or may lead; the latest first',
  access: { who: 'member', action: 'task.read', object: 'project' },
  query: PageQuery,
  answers: { 200: listOf(NormingShown) },
  handle: async (call) => json(200, await listSessions(call, call.query))
};

const start: Route = {
  method: 'POST',
  path: '/projects/{project}/norming',
  summary:
    'Begins a norming session: gives tasks that nobody has judged to a panel, which votes on them blind',
  access: { who: 'member', action: 'norming.lead', object: 'project' },
  body: BeginNorming,
  answers: { 201: NormingSession },
  async handle(call) {
    const id = await begin(call.services.db, call, call.body);
    return json(201, await readSession(call, id));
  }
};

const read: Route = {
  method: 'GET',
  path: '/norming/{norming}',
  summary:
    'One norming session: who is done with how much, and once its tasks are revealed how far the panel agrees',
  access: { who: 'member', action: 'task.read', object: 'norming' },
  answers: { 200: NormingSession },
  async handle(call) {
    const id = call.params.norming!;
    const { services, actor, project } = call;
    if (!can(project.role, 'norming.lead') && !(await isOnPanel(services.db, id, actor.id)))
      throw new Fault(403, 'not_on_panel', 'A session is for its panel, and for those who may lead one.');
    return json(200, await readSession(call, id));
  }
};

const end: Route = {
  method: 'POST',
  path: '/norming/{norming}/close',
  summary: 'Ends a norming session: what stands now is the second vote, and its agreement is kept',
  access: { who: 'member', action: 'norming.lead', object: 'norming' },
  answers: { 200: NormingSession },
  async handle(call) {
    await close(call.services.db, call.actor, call.params.norming!);
    return json(200, await readSession(call, call.params.norming!));
  }
};

/** A panel that votes blind on the same tasks, meets at their tables, and votes again. */
export const api: RoomApi = {
  routes: [list, start, read, end],
  locate: {
    norming: async ({ db }, id) => {
      const [row] = await db
        .select({ projectId: normingSession.projectId })
        .from(normingSession)
        .where(eq(normingSession.id, id));
      return row?.projectId ?? null;
    }
  }
};
