import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp, type App } from './app.ts';
import { connect } from './db/connect.ts';
import { readConfig, type Config } from './config.ts';
import type { Database } from './db/index.ts';
import { testDatabase } from './db/testing.ts';

export interface TestApp {
  app: App;
  config: Config;
  /** The bootstrap owner's token. */
  owner: string;
  /** Calls the API as a script would; `body` is sent as JSON unless it is bytes. */
  call(
    method: string,
    path: string,
    options?: CallOptions
  ): Promise<{ status: number; body: any; response: Response }>;
  /** A member of a project with that role; the answer is their token. */
  member(project: string, role: string, name?: string): Promise<{ id: string; token: string }>;
  project(options?: { mode?: 'blind' | 'open'; overlap?: number; name?: string }): Promise<string>;
  /** Imports rows as JSON lines and waits for the end; all of them have to be accepted. */
  importRows(project: string, rows: readonly unknown[]): Promise<void>;
  /** Beside the server, for what no call does. */
  db: Database;
  close(): Promise<void>;
}

export interface CallOptions {
  /** Default: the owner's; null: none. */
  token?: string | null;
  body?: unknown;
  headers?: Record<string, string>;
}

/** The whole server on a fresh database, without a port: every room, real accounts, real PostgreSQL. */
export async function testApp(overrides: Partial<Config> = {}): Promise<TestApp> {
  const database = await testDatabase();
  const dataDir = await mkdtemp(join(tmpdir(), 'concord-data-'));
  const owner = randomBytes(24).toString('hex');
  const { CONCORD_TRAINER } = process.env;
  const base = readConfig({
    ...{ CONCORD_DATA_DIR: dataDir, CONCORD_BOOTSTRAP_TOKEN: owner, PORT: '4000', CONCORD_TRAINER }
  });
  const config: Config = { ...base, databaseUrl: urlOf(database.connection), ...overrides };
  const app = await createApp(config, () => {});
  const db = connect({ connectionString: config.databaseUrl! }, 2);
  const origin = config.origin;

  async function call(method: string, path: string, options: CallOptions = {}) {
    const token = options.token === undefined ? owner : options.token;
    const headers = new Headers(options.headers);
    if (token) headers.set('authorization', `Bearer ${token}`);
    const raw = typeof options.body === 'string' || options.body instanceof Uint8Array;
    if (options.body !== undefined && !raw && !headers.has('content-type'))
      headers.set('content-type', 'application/json');
    const body =
      options.body === undefined
        ? undefined
        : raw
          ? (options.body as BodyInit)
          : JSON.stringify(options.body);
    const response = await app.api(new Request(`${origin}${path}`, { method, headers, body }));
    const isJson = /[/+]json\b/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, body: isJson ? await response.clone().json() : null, response };
  }

  return {
    app,
    config,
    owner,
    call,
    async project({ mode = 'open', overlap = 2, name = 'Chest films' } = {}) {
      const { body } = await call('POST', '/api/v1/projects', {
        body: { name, review: { mode, overlap }, criteria: [] }
      });
      return body.id;
    },
    async member(project, role, name = `${role} ${randomBytes(3).toString('hex')}`) {
      const email = `${randomBytes(6).toString('hex')}@example.org`;
      const { body } = await call('POST', `/api/v1/projects/${project}/members`, {
        body: { email, name, role }
      });
      return { id: body.user.id, token: body.token };
    },
    async importRows(project, rows) {
      const { body } = await call('POST', `/api/v1/projects/${project}/imports`, {
        body: rows.map((row) => JSON.stringify(row)).join('\n'),
        headers: { 'content-type': 'application/jsonl' }
      });
      for (;;) {
        const { body: found } = await call('GET', `/api/v1/imports/${body.id}`);
        if (found.status === 'done' && !found.rows_rejected) return;
        if (!['queued', 'running'].includes(found.status)) throw new Error(JSON.stringify(found));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    db,
    async close() {
      await db.$client.end();
      await app.close();
      await database.close();
      await rm(dataDir, { recursive: true, force: true });
    }
  };
}

function urlOf(connection: { host?: string; user?: string; password?: string; database?: string }): string {
  const { host, user, password, database } = connection;
  return `postgresql://${user}:${password}@/${database}?host=${encodeURIComponent(host!)}`;
}
