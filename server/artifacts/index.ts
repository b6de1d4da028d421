import { access, open } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Adapter } from '#wire/adapter.ts';
import { listOf, PageQuery } from '#wire/list.ts';
import { Fault, notFound } from '../net/fault.ts';
import { json, type Call, type RoomApi, type Route } from '../net/route.ts';
import type { Artifacts } from '../runs/index.ts';
import type { Services } from '../services.ts';
import {
  adapterFolder,
  adapterJson,
  adaptersOf,
  addAdapter,
  findAdapter,
  type AdapterRow
} from './adapters.ts';
import { previewRoutes } from './preview.ts';
import { fitsZip, zip, zipBytes } from './zip.ts';

export { addAdapter } from './adapters.ts';

/** An adapter never changes; the address holds its id. */
const FOR_EVER = 'private, max-age=31536000, immutable';

const list: Route = {
  method: 'GET',
  path: '/projects/{project}/adapters',
  summary: 'Adapters, the latest first',
  access: { who: 'member', action: 'work.read', object: 'project' },
  query: PageQuery,
  answers: { 200: listOf(Adapter) },
  async handle({ services: { db }, project, query }) {
    const offset = Number(query.cursor ?? 0);
    if (!Number.isSafeInteger(offset) || offset < 0)
      throw new Fault(422, 'invalid', 'cursor: take next_cursor of the page before.');
    const rows = await adaptersOf(db, project.id, offset, query.limit + 1);
    const items = await Promise.all(rows.slice(0, query.limit).map((row) => adapterJson(db, row)));
    return json(200, { items, next_cursor: rows.length > query.limit ? String(offset + query.limit) : null });
  }
};

const read: Route = {
  method: 'GET',
  path: '/adapters/{adapter}',
  summary: 'An adapter: where it comes from, and its PEFT files',
  access: { who: 'member', action: 'work.read', object: 'adapter' },
  answers: { 200: Adapter },
  handle: async (call) => json(200, await adapterJson(call.services.db, await found(call)))
};

const readFile: Route = {
  method: 'GET',
  path: '/adapters/{adapter}/files/{name}',
  summary: 'One of its files',
  access: { who: 'member', action: 'work.read', object: 'adapter' },
  answers: { 200: null, 304: null },
  async handle(call) {
    const row = await found(call);
    // By the row's list, never by the disk: a name is not a path.
    const file = row.files.find(({ name }) => name === call.params.name);
    if (!file) {
      const names = row.files.map(({ name }) => name).join(', ');
      throw new Fault(404, 'not_found', `The adapter has no such file; it has ${names}.`);
    }
    const headers = { etag: `"${file.sha256}"`, 'cache-control': FOR_EVER };
    if (call.request.headers.get('if-none-match') === headers.etag)
      return new Response(null, { status: 304, headers });
    const handle = await open(join(adapterFolder(call.services.config, row.id), file.name)).catch(gone);
    return answerStream(handle.createReadStream(), {
      ...headers,
      'content-type': file.name.endsWith('.json') ? 'application/json' : 'application/octet-stream',
      'content-length': String(file.bytes)
    });
  }
};

const download: Route = {
  method: 'GET',
  path: '/adapters/{adapter}/download',
  summary: 'The PEFT folder as a ZIP archive',
  access: { who: 'member', action: 'work.read', object: 'adapter' },
  answers: { 200: null },
  async handle(call) {
    const row = await found(call);
    const name = slugOf(row);
    const folder = adapterFolder(call.services.config, row.id);
    const entries = row.files.map((file) => ({
      ...{ name: `${name}/${file.name}`, path: join(folder, file.name) },
      ...{ bytes: file.bytes, at: row.createdAt }
    }));
    if (!fitsZip(entries))
      throw new Fault(
        413,
        'archive_too_large',
        'The adapter is too large for one ZIP archive; download its files one by one.'
      );
    for (const { path } of entries) await access(path).catch(gone);
    return answerStream(Readable.from(zip(entries)), {
      'content-type': 'application/zip',
      'content-length': String(zipBytes(entries)),
      'content-disposition': `attachment; filename="${name}.zip"`,
      'cache-control': FOR_EVER
    });
  }
};

/** Told before the answer begins: afterwards it could only break off. */
function gone(error: NodeJS.ErrnoException): never {
  if (error.code !== 'ENOENT') throw error;
  throw new Fault(
    410,
    'files_gone',
    'The files of this adapter are gone from the data folder; put them back from a backup, or train it again.'
  );
}

function answerStream(stream: Readable, headers: Record<string, string>): Response {
  return new Response(Readable.toWeb(stream) as ReadableStream<Uint8Array>, { headers });
}

/** A name that every file system takes; the end of the id keeps two of the same name apart. */
function slugOf({ id, name }: AdapterRow): string {
  const plain = name
    .normalize('NFKD')
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 60);
  return `${plain || 'adapter'}-${id.replace(/[^A-Za-z0-9]/g, '').slice(-6)}`;
}

async function found({ services, params }: Call): Promise<AdapterRow> {
  const row = await findAdapter(services.db, params.adapter!);
  if (!row) throw notFound('adapter');
  return row;
}

export function createArtifacts(_services: Services): { api: RoomApi } {
  return {
    api: {
      routes: [list, read, readFile, download, ...previewRoutes],
      locate: { adapter: async ({ db }, id) => (await findAdapter(db, id))?.projectId ?? null }
    }
  };
}

/** What the room of runs is handed by the composition root. */
export function artifactsForRuns(services: Services): Artifacts {
  return {
    onAdapter: (tx, adapter) => addAdapter(services, tx, adapter),
    async findAdapter(db, id) {
      const row = await findAdapter(db, id);
      if (!row) return null;
      const { projectId, modelId } = row;
      return { id, projectId, modelId, folder: adapterFolder(services.config, id) };
    }
  };
}
