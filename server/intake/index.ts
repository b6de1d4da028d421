import { createReadStream } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asc, desc, eq, inArray } from 'drizzle-orm';
import type { ImportedTask } from '#domain/imported.ts';
import { Import, ImportPreview, ImportQuery, Mapping } from '#wire/import.ts';
import { listOf, PageQuery } from '#wire/list.ts';
import type { Actor } from '../auth/index.ts';
import { appendAudit } from '../audit/index.ts';
import { newId, type Database } from '../db/index.ts';
import { limits } from '../limits.ts';
import { Fault, notFound } from '../net/fault.ts';
import { log } from '../net/log.ts';
import { json, type Call, type RoomApi, type Route } from '../net/route.ts';
import type { Services } from '../services.ts';
import { contentTypes, type ContentType } from './open.ts';
import { preview } from './preview.ts';
import type { Chunks } from './reading.ts';
import { faultOf, fileOf, receive } from './receive.ts';
import { importError, importRow } from './tables.ts';
import { runImport, type Sink } from './work.ts';

export type { IncomingTask, Sink } from './work.ts';
export type { ImportedTask };

const QUEUE = 'import';
const unfinished = inArray(importRow.status, ['queued', 'running']);

export interface NewImport {
  projectId: string;
  actor: Actor | 'system';
  body: Chunks;
  contentType: ContentType;
  gzip: boolean;
  mapping: Mapping | null;
  keepDuplicates: boolean;
}

export interface FileToImport {
  projectId: string;
  userId?: string | null;
  path: string;
  contentType: ContentType;
  gzip?: boolean;
  mapping?: Mapping | null;
}

export type Intake = ReturnType<typeof createIntake>;

/** Call before the job queue starts. `close` waits for the batch that is being written. */
export function createIntake(services: Services, sink: Sink) {
  const { db, config, jobs } = services;
  const working = new Map<string, Promise<void>>();
  let stopping = false;

  function work(id: string): Promise<void> {
    const running = working.get(id);
    if (running || stopping) return running ?? Promise.resolve();
    const done = runImport(db, sink, config.dataDir, id, () => stopping).finally(() => working.delete(id));
    working.set(id, done);
    return done;
  }
  jobs.on(QUEUE, ({ id }) => work(id!));
  const reaper = setInterval(() => void reap(), limits.intake.stale_seconds * 1_000).unref();
  void sweep().then(reap);

  /** Files that a killed server had received for imports it never noted, or had not removed yet: nobody reads them. */
  async function sweep(): Promise<void> {
    const folder = join(config.dataDir, 'imports');
    try {
      const names = await readdir(folder).catch(() => []);
      const rows = await db.select({ id: importRow.id }).from(importRow).where(unfinished);
      const wanted = new Set(rows.map(({ id }) => fileOf(config.dataDir, id)));
      for (const path of names.map((name) => join(folder, name)))
        if (!wanted.has(path)) await rm(path, { force: true });
    } catch (error) {
      if (!stopping) log.error('import sweep', { error });
    }
  }

  /** This is the only server: what runs here and is not in `working` was left by one that was killed. */
  async function reap(): Promise<void> {
    try {
      const rows = await db
        .select({ id: importRow.id })
        .from(importRow)
        .where(unfinished)
        .orderBy(asc(importRow.createdAt));
      for (const { id } of rows) await work(id);
    } catch (error) {
      if (!stopping) log.error('import reaper', { error });
    }
  }

  async function add(given: NewImport, userId: string | null): Promise<string> {
    const id = newId('import');
    const { bytes, sha256 } = await receive(config.dataDir, id, given.body);
    const { projectId, contentType, mapping } = given;
    const keep = db.transaction(async (tx) => {
      await tx.insert(importRow).values({
        ...{ id, projectId, contentType, mapping, bytes, sha256, createdBy: userId, status: 'queued' },
        gzip: given.gzip ? 1 : 0,
        duplicatesKept: given.keepDuplicates ? 1 : 0
      });
      const facts = { bytes, sha256, contentType };
      await appendAudit(tx, { actor: given.actor, action: 'import.start', object: id, projectId, facts });
    });
    await keep.catch(async (error: unknown) => {
      await rm(fileOf(config.dataDir, id), { force: true });
      throw faultOf(error);
    });
    return id;
  }

  /** Imports a file of this machine and waits for its end: the demo project's, or a script's. */
  async function importFile(file: FileToImport): Promise<Import> {
    const body = createReadStream(file.path);
    const { projectId, contentType, gzip = false, mapping = null } = file;
    const given = { projectId, actor: 'system' as const, body, contentType, gzip, mapping };
    const id = await add({ ...given, keepDuplicates: false }, file.userId ?? null);
    await work(id);
    return (await importJson(db, id))!;
  }

  const start: Route = {
    method: 'POST',
    path: '/projects/{project}/imports',
    summary: 'Imports a file, which is the body; it is read after the answer',
    access: { who: 'member', action: 'work.write', object: 'project' },
    query: ImportQuery,
    body: 'stream',
    answers: { 202: Import },
    async handle(call) {
      const { actor, project, query } = call;
      const given = { projectId: project.id, actor, ...formatOf(call), mapping: mappingOf(query.mapping) };
      const keepDuplicates = query.duplicates === 'keep';
      const id = await add({ ...given, body: bodyOf(call), keepDuplicates }, actor.id);
      await jobs.send(QUEUE, { id });
      return json(202, await importJson(db, id));
    }
  };

  const api: RoomApi = {
    routes: [start, previewRoute, list, read],
    locate: {
      import: async ({ db }, id) => {
        const [row] = await db
          .select({ projectId: importRow.projectId })
          .from(importRow)
          .where(eq(importRow.id, id));
        return row?.projectId ?? null;
      }
    }
  };

  async function close(): Promise<void> {
    stopping = true;
    clearInterval(reaper);
    await Promise.allSettled(working.values());
  }

  return { api, importFile, close };
}

const previewRoute: Route = {
  method: 'POST',
  path: '/projects/{project}/imports/preview',
  summary: 'The first rows of a file, whose beginning is the body; keeps nothing',
  access: { who: 'member', action: 'work.write', object: 'project' },
  body: 'stream',
  answers: { 200: ImportPreview },
  async handle(call) {
    const { contentType, gzip } = formatOf(call);
    return json(200, await preview(bodyOf(call), contentType, gzip));
  }
};

const list: Route = {
  method: 'GET',
  path: '/projects/{project}/imports',
  summary: 'Imports of a project, the latest first',
  access: { who: 'member', action: 'work.read', object: 'project' },
  query: PageQuery,
  answers: { 200: listOf(Import) },
  async handle({ services: { db }, project, query }) {
    const offset = Number(query.cursor ?? 0);
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new Fault(422, 'invalid', 'cursor: take next_cursor of the page before.');
    const rows = await db
      .select({ id: importRow.id })
      .from(importRow)
      .where(eq(importRow.projectId, project.id))
      .orderBy(desc(importRow.createdAt), desc(importRow.id))
      .offset(offset)
      .limit(query.limit + 1);
    const items = await Promise.all(rows.slice(0, query.limit).map(({ id }) => importJson(db, id)));
    return json(200, { items, next_cursor: rows.length > query.limit ? String(offset + query.limit) : null });
  }
};

const read: Route = {
  method: 'GET',
  path: '/imports/{import}',
  summary: 'How far an import is, and what was wrong by line',
  access: { who: 'member', action: 'work.read', object: 'import' },
  answers: { 200: Import },
  async handle({ services, params }) {
    const found = await importJson(services.db, params.import!);
    if (!found) throw notFound('import');
    return json(200, found);
  }
};

async function importJson(db: Database, id: string): Promise<Import | null> {
  const [row] = await db.select().from(importRow).where(eq(importRow.id, id));
  if (!row) return null;
  const errors = await db
    .select({ line: importError.line, code: importError.code, detail: importError.detail })
    .from(importError)
    .where(eq(importError.importId, id))
    .orderBy(asc(importError.line));
  return {
    ...{ id, status: row.status, duplicates: row.duplicates, errors, failure: row.failure },
    rows_read: row.rowsRead,
    rows_accepted: row.rowsAccepted,
    rows_rejected: row.rowsRejected,
    created_at: row.createdAt.toISOString(),
    ended_at: row.endedAt?.toISOString() ?? null
  };
}

function formatOf({ request }: Call): { contentType: ContentType; gzip: boolean } {
  const given = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase();
  const contentType = contentTypes.find((type) => type === given);
  if (!contentType)
    throw new Fault(
      415,
      'unknown_content_type',
      `Send the file with Content-Type ${contentTypes.join(', ')}.`
    );
  const encoding = request.headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'gzip' && encoding !== 'identity')
    throw new Fault(415, 'unknown_encoding', 'Content-Encoding may be gzip, or left out.');
  return { contentType, gzip: encoding === 'gzip' };
}

function bodyOf({ request }: Call): Chunks {
  if (!request.body) throw new Fault(422, 'empty_file', 'The body is empty; send the file as the body.');
  return request.body as unknown as Chunks;
}

function mappingOf(text: string | undefined): Mapping | null {
  if (text === undefined) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Fault(422, 'bad_mapping', 'mapping is not JSON; it must be URL-encoded.');
  }
  const result = Mapping.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  throw new Fault(422, 'bad_mapping', `mapping.${issue.path.join('.')}: ${issue.message}.`);
}
