import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realServer, type RealServer } from '../real-server.ts';

let server: RealServer;
beforeAll(async () => {
  server = await realServer({ bootstrap: true });
});
afterAll(() => server.stop());

interface Ended {
  code: number | null;
  said: string;
}

/** Starts a server; `ended` is what it printed and how it went. */
function start(env: Record<string, string>): {
  child: ChildProcess;
  said(): string;
  ended: Promise<Ended>;
} {
  const child = spawn(process.execPath, ['server/main.ts'], {
    cwd: new URL('../..', import.meta.url).pathname,
    env: { ...process.env, NODE_ENV: 'production', HOST: '127.0.0.1', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const ended = new Promise<Ended>((resolve) =>
    child.once('close', (code) => resolve({ code, said: said.trim() }))
  );
  return { child, said: () => said, ended };
}

const refused = (env: Record<string, string>) => start(env).ended;

const sentence = (said: string) => expect(said.split('\n')).toHaveLength(1);
const health = async () => (await fetch(`${server.origin}/healthz`)).json();

test('it serves pages, API and health on one port', async () => {
  expect(await health()).toMatchObject({ status: 'ok', database: 'ok' });
  const page = await fetch(server.origin, { headers: { accept: 'text/html' } });
  expect(await page.text()).toContain('Concord');
  expect((await fetch(`${server.origin}/api/v1/projects`)).status).toBe(401);
  const headers = { authorization: `Bearer ${server.owner}` };
  expect((await fetch(`${server.origin}/api/v1/projects`, { headers })).status).toBe(200);
});

test('a socket to a place that has none is told so and closed', async () => {
  const { port } = new URL(server.origin);
  const socket = connect(Number(port), '127.0.0.1');
  let said = '';
  socket.on('data', (chunk: Buffer) => (said += chunk.toString()));
  socket.write('GET /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  await new Promise((resolve) => socket.once('close', resolve));
  expect(said).toMatch(/^HTTP\/1\.1 404 /);
});

test('a second start on the same folder is refused, naming the first, which goes on', async () => {
  const { code, said } = await refused({ CONCORD_DATA_DIR: server.dataDir, PORT: '0' });
  expect(code).toBe(1);
  sentence(said);
  expect(said).toContain('already running');
  expect(said).toContain(server.origin);
  expect(await health()).toMatchObject({ status: 'ok', database: 'ok' });
});

const slow = { timeout: 120_000 };

test('of two first starts at once on one new folder one serves, and the other names it', slow, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'concord-twice-'));
  const both = [0, 1].map(() => start({ CONCORD_DATA_DIR: dataDir, PORT: '0' }));
  const { code, said } = await Promise.race(both.map(({ ended }) => ended));
  expect(code).toBe(1);
  sentence(said);
  const [serving] = both.filter(({ child }) => child.exitCode === null);
  expect(said).toContain(`already running on this data (process ${serving!.child.pid}, `);
  await expect.poll(serving!.said, { timeout: 20_000 }).toContain('Concord is ready');
  serving!.child.kill('SIGTERM');
  await serving!.ended;
  expect((await readdir(dataDir)).sort()).toEqual(
    ['postgres', 'postgres-password', 'postgres.log', 'session-secret', 'socket'].sort()
  );
  await rm(dataDir, { recursive: true });
});

test('stopped while it starts, it takes its database along', slow, async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'concord-early-'));
  const { child, ended } = start({ CONCORD_DATA_DIR: dataDir, PORT: '0' });
  await expect.poll(() => readdir(dataDir), { timeout: 20_000 }).toContain('postgres');
  child.kill('SIGINT');
  expect((await ended).code).toBe(0);
  expect(await readdir(join(dataDir, 'postgres'))).not.toContain('postmaster.pid');
  await rm(dataDir, { recursive: true });
});

test('a port in use is refused with another to try, and its database does not stay behind', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'concord-port-'));
  const { code, said } = await refused({ CONCORD_DATA_DIR: dataDir, PORT: new URL(server.origin).port });
  expect(code).toBe(1);
  sentence(said);
  expect(said).toMatch(/Port \d+ on 127\.0\.0\.1 is in use\. .*PORT=\d+ npm start/);
  expect(await readdir(join(dataDir, 'postgres'))).not.toContain('postmaster.pid');
  await rm(dataDir, { recursive: true });
});

test.each([
  [{ PORT: 'four' }, 'PORT is "four"'],
  [{ ORIGIN: 'concord' }, 'ORIGIN is "concord"'],
  [{ CONCORD_BOOTSTRAP_TOKEN: 'short' }, 'CONCORD_BOOTSTRAP_TOKEN is shorter than 32'],
  [{ TLS_CERT: '/nowhere.pem' }, 'TLS_CERT and TLS_KEY belong together']
])('a wrong setting is named: %o', async (env, wanted) => {
  const { code, said } = await refused(env as Record<string, string>);
  expect(code).toBe(1);
  sentence(said);
  expect(said).toContain(wanted);
});

test('killed and started again it is back within seconds, with what it held', async () => {
  const headers = { authorization: `Bearer ${server.owner}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ name: 'Kept', review: { mode: 'open', overlap: 1 }, criteria: [] });
  await fetch(`${server.origin}/api/v1/projects`, { method: 'POST', headers, body });
  await server.kill();
  await server.start();
  const { items } = (await (await fetch(`${server.origin}/api/v1/projects`, { headers })).json()) as {
    items: { name: string }[];
  };
  expect(items.map(({ name }) => name)).toEqual(['Kept']);
});
