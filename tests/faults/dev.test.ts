import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readdir, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { freePort } from '../real-server.ts';

/** `npm run dev` without its set-up: pages that reload, and the same API and rooms in one process. */
const root = new URL('../..', import.meta.url).pathname;
const slow = { timeout: 120_000 };

let dataDir: string;
let port: number;
let child: ChildProcess;
let said = '';
beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'concord-dev-'));
  port = await freePort();
  const { NODE_ENV: _, ...env } = process.env;
  child = spawn(process.execPath, ['server/dev.ts'], {
    cwd: root,
    env: { ...env, PORT: String(port), CONCORD_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe']
  });
  for (const stream of [child.stdout!, child.stderr!])
    stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
  while (!said.includes('Concord (development)')) {
    if (child.exitCode !== null) throw new Error(said);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}, 120_000);
afterAll(async () => {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
  expect(await readdir(join(dataDir, 'postgres'))).not.toContain('postmaster.pid');
  await rm(dataDir, { recursive: true });
}, 60_000);

const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`, { headers: { accept: 'text/html' } });

test('pages and API answer on one port', slow, async () => {
  const page = await get('/');
  expect([page.status, await page.text()]).toEqual([
    200,
    expect.stringMatching(/import\("\/.*client\/entry\.js"\)/)
  ]);
  expect((await get('/api/v1/projects')).status).toBe(401);
  expect(await (await get('/healthz')).json()).toMatchObject({ status: 'ok', database: 'ok' });
});

test('rooms are open there too, to who is signed in', slow, async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/yjs/lobby/none`);
  const code = await new Promise((resolve) => socket.once('close', resolve));
  expect(code).toBe(4401);
});

test('pages hear of a module that changes', slow, async () => {
  const changing = 'src/lib/ui/letters.ts';
  expect((await get(`/${changing}`)).status).toBe(200);
  const client = await (await get('/@vite/client')).text();
  const token = /wsToken = "([^"]+)"/.exec(client)![1]!;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/?token=${token}`, 'vite-hmr');
  const told: string[] = [];
  socket.on('message', (data: Buffer) => told.push(data.toString()));
  await expect.poll(() => told.join(), { timeout: 20_000 }).toContain('"type":"connected"');
  await utimes(join(root, changing), new Date(), new Date());
  await expect
    .poll(() => told.join(), { timeout: 20_000 })
    .toMatch(/"type":"(update|full-reload)".*letters\.ts/);
  socket.close();
});
