import { and, eq, inArray, isNull, sql } from 'drizzle-orm';
import { listOf, PageQuery } from '#wire/list.ts';
import { NewRun, Run } from '#wire/run.ts';
import { appendAudit } from '../audit/index.ts';
import { Fault, notFound } from '../net/fault.ts';
import { json, type Call, type Route } from '../net/route.ts';
import { streamLines } from '../net/stream.ts';
import { logTail } from './ending.ts';
import type { FindAdapter } from './job.ts';
import type { News } from './news.ts';
import { findRun, hasEnded, lastEvent, runJson, runsOf, type RunRow } from './rows.ts';
import type { Runner } from './runner.ts';
import { startRun } from './start.ts';
import { runStream } from './stream.ts';
import { run } from './tables.ts';
import { withoutPaths } from './trainer.ts';

export function runRoutes(runner: Runner, news: News, findAdapter: FindAdapter): Route[] {
  const start: Route = {
    method: 'POST',
    path: '/runs',
    summary:
      'Starts a run, or puts it behind those that are there; a DPO run from a parent takes it as reference',
    access: { who: 'by_body', action: 'work.write' },
    body: NewRun,
    answers: { 201: Run },
    async handle({ services, actor, body }) {
      const row = await startRun(services, findAdapter, actor, body);
      runner.wake();
      return json(201, runJson(row));
    }
  };

  const events: Route = {
    method: 'GET',
    path: '/runs/{run}/events',
    summary:
      'Server-sent events: each of the trainer, numbered, and the run itself as `run`; Last-Event-ID resumes without loss; 204 once nothing more will come',
    access: { who: 'member', action: 'work.read', object: 'run' },
    answers: { 200: null, 204: null },
    async handle(call) {
      const { db } = call.services;
      const after = lastEventId(call.request);
      const row = await found(call);
      // An EventSource asks again until it is told that there is no more.
      if (after !== null && hasEnded(row) && ((await lastEvent(db, row.id))?.seq ?? 0) <= after)
        return new Response(null, { status: 204 });
      const headers = { 'cache-control': 'no-store', 'x-accel-buffering': 'no' };
      return streamLines('text/event-stream', runStream(db, news, row.id, after ?? 0), headers);
    }
  };

  const cancel: Route = {
    method: 'POST',
    path: '/runs/{run}/cancel',
    summary: 'Stops a run after a checkpoint; one that waits in the queue at once',
    access: { who: 'member', action: 'work.write', object: 'run' },
    answers: { 202: Run },
    async handle(call) {
      const row = await requestCancel(call);
      news.tell(row.id);
      return json(202, runJson(row));
    }
  };

  return [start, list, read, events, cancel, readLog];
}

const list: Route = {
  method: 'GET',
  path: '/projects/{project}/runs',
  summary: 'Runs, the latest first',
  access: { who: 'member', action: 'work.read', object: 'project' },
  query: PageQuery,
  answers: { 200: listOf(Run) },
  async handle({ services, project, query }) {
    const offset = Number(query.cursor ?? 0);
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new Fault(422, 'invalid', 'cursor: take next_cursor of the page before.');
    const rows = await runsOf(services.db, project.id, offset, query.limit + 1);
    const next_cursor = rows.length > query.limit ? String(offset + query.limit) : null;
    return json(200, { items: rows.slice(0, query.limit).map(runJson), next_cursor });
  }
};

const read: Route = {
  method: 'GET',
  path: '/runs/{run}',
  summary: 'One run: status, step and the last figures',
  access: { who: 'member', action: 'work.read', object: 'run' },
  answers: { 200: Run },
  handle: async (call) => json(200, runJson(await found(call)))
};

const readLog: Route = {
  method: 'GET',
  path: '/runs/{run}/log',
  summary: "The end of the trainer's log, as text",
  access: { who: 'member', action: 'work.read', object: 'run' },
  answers: { 200: null },
  async handle(call) {
    const { id } = await found(call);
    const { config } = call.services;
    const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' };
    return new Response(withoutPaths(config, await logTail(config, id)), { headers });
  }
};

async function found({ services, params }: Call): Promise<RunRow> {
  const row = await findRun(services.db, params.run!);
  if (!row) throw notFound('run');
  return row;
}

function lastEventId(request: Request): number | null {
  const text = request.headers.get('last-event-id');
  if (text === null) return null;
  if (!/^\d{1,9}$/.test(text))
    throw new Fault(422, 'invalid', 'Last-Event-ID: send back the id of the last event that you received.');
  return Number(text);
}

async function requestCancel(call: Call): Promise<RunRow> {
  const { actor, services, project } = call;
  const { id } = await found(call);
  return services.db.transaction(async (tx) => {
    const [queued] = await tx
      .update(run)
      .set({ status: 'cancelled', cancelRequestedAt: sql`now()`, endedAt: sql`now()` })
      .where(and(eq(run.id, id), eq(run.status, 'queued')))
      .returning();
    const [asked] = queued
      ? [queued]
      : await tx
          .update(run)
          .set({ cancelRequestedAt: sql`now()` })
          .where(and(eq(run.id, id), inArray(run.status, ['running']), isNull(run.cancelRequestedAt)))
          .returning();
    // Asked before, or ended meanwhile: the answer says how it stands.
    if (!asked) return (await findRun(tx, id))!;
    const entry = {
      actor,
      action: 'run.cancel',
      object: id,
      projectId: project.id,
      facts: { step: asked.step }
    };
    await appendAudit(tx, entry);
    return asked;
  });
}
