import { Discussion, MarkRead, NewRemark, Remark, TableShown, TablesQuery, Unread } from '#wire/remark.ts';
import { listOf, PageQuery } from '#wire/list.ts';
import type { News } from '#wire/news.ts';
import type { Room } from '#wire/room.ts';
import { Fault, notFound } from '../net/fault.ts';
import { json, type Call, type RoomApi, type Route } from '../net/route.ts';
import type { Services } from '../services.ts';
import { findTask, peopleAtTable, seesTable, type TaskRecord } from '../tasks/index.ts';
import { addRemark, markRead, readOf, remarksOf } from './remarks.ts';
import { countUnread, listTables } from './shown.ts';

/** What this room needs of the live rooms. */
export interface Told {
  tell(room: Room, news: News, people?: ReadonlySet<string>): void;
}

/** People around a task's table: what they say there, and what they have not read yet. */
export function createPanels({ db }: Services, rooms: Told) {
  const send: Route = {
    method: 'POST',
    path: '/tasks/{task}/remarks',
    summary: "Says something at a task's table, in the caller's name",
    access: { who: 'member', action: 'task.judge', object: 'task' },
    body: NewRemark,
    answers: { 201: Remark },
    async handle(call) {
      const task = await tableOrFault(call);
      const people = await peopleAtTable(db, task, call.project.mode);
      const sent = await addRemark(db, call.actor, task, call.body, people);
      rooms.tell({ kind: 'table', task: task.id }, { kind: 'remark', remark: sent });
      rooms.tell(
        { kind: 'lobby', project: call.project.id },
        {
          kind: 'discussed',
          ...{ task: task.id, number: task.number, by: sent.author, mentioned: sent.mentions }
        },
        new Set(people.map(({ id }) => id))
      );
      return json(201, sent);
    }
  };
  const api: RoomApi = { routes: [send, discussion, read, tables, unread] };
  return { api };
}

const discussion: Route = {
  method: 'GET',
  path: '/tasks/{task}/remarks',
  summary: "What was said at a task's table, in order; how far the caller has read, and who may sit there",
  access: { who: 'member', action: 'task.read', object: 'task' },
  query: PageQuery,
  answers: { 200: Discussion },
  async handle(call) {
    const { db } = call.services;
    const { limit, cursor } = call.query;
    const task = await tableOrFault(call);
    const [remarks, read, people] = await Promise.all([
      remarksOf(db, task.id, Number(cursor) || 0, limit + 1),
      readOf(db, task.id, call.actor.id),
      peopleAtTable(db, task, call.project.mode)
    ]);
    const items = remarks.slice(0, limit);
    const next_cursor = remarks.length > limit ? String(items.at(-1)!.number) : null;
    return json(200, { items, next_cursor, read, people });
  }
};

const read: Route = {
  method: 'PUT',
  path: '/tasks/{task}/remarks/read',
  summary: 'Notes that the caller has read a discussion up to a remark',
  access: { who: 'member', action: 'task.read', object: 'task' },
  body: MarkRead,
  answers: { 204: null },
  async handle(call) {
    const task = await tableOrFault(call);
    await markRead(call.services.db, task.id, call.actor.id, call.body.number);
    return new Response(null, { status: 204 });
  }
};

const tables: Route = {
  method: 'GET',
  path: '/projects/{project}/tables',
  summary: 'Tables that the caller may sit at, latest task first; with unread=true those with something new',
  access: { who: 'member', action: 'task.read', object: 'project' },
  query: TablesQuery,
  answers: { 200: listOf(TableShown) },
  handle: async (call) => json(200, await listTables(call, call.query))
};

const unread: Route = {
  method: 'GET',
  path: '/projects/{project}/unread',
  summary:
    'How many tables have remarks that the caller has not read, and how many of those mention the caller',
  access: { who: 'member', action: 'task.read', object: 'project' },
  answers: { 200: Unread },
  handle: async (call) => json(200, await countUnread(call))
};

/** The task whose table the caller may sit at; nothing of a table is answered before that is known. */
async function tableOrFault(call: Call): Promise<TaskRecord> {
  const task = await findTask(call.services.db, call.params.task!);
  if (!task) throw notFound('task');
  if (await seesTable(call, task)) return task;
  throw new Fault(
    403,
    'not_revealed',
    'The table of a blind task opens at its reveal, to those who judged it.'
  );
}
