import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApp } from '../app.ts';
import { limits } from '../limits.ts';
import { testApp, type TestApp } from '../testing-app.ts';
import { receive } from './receive.ts';

let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

const jsonl = { 'content-type': 'application/jsonl' };
const send = (
  project: string,
  body: string | Uint8Array,
  headers: Record<string, string> = jsonl,
  query = ''
) => t.call('POST', `/api/v1/projects/${project}/imports${query}`, { body, headers });

async function ended(id: string) {
  for (;;) {
    const { body } = await t.call('GET', `/api/v1/imports/${id}`);
    if (body.status === 'done' || body.status === 'failed') return body;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function imported(project: string, body: string, query = '') {
  const sent = await send(project, body, jsonl, query);
  expect([sent.status, sent.body.detail]).toEqual([202, undefined]);
  return ended(sent.body.id);
}

const rowsOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => {
    const n = from + i;
    return JSON.stringify({ prompt: `prompt ${n}`, chosen: `good ${n}`, rejected: `bad ${n}` }) + '\n';
  }).join('');

test('every row is accepted, rejected or a duplicate; what is wrong is said by line', async () => {
  const project = await t.project();
  const text = [
    '{"prompt":"a","chosen":"x","rejected":"y"}',
    '{broken',
    '{"prompt":"a","chosen":"x","rejected":"y"}',
    '{"question":"?"}',
    '{"prompt":"b"}'
  ].join('\n');
  const done = await imported(project, text);
  expect(done).toMatchObject({
    status: 'done',
    rows_read: 5,
    rows_accepted: 2,
    rows_rejected: 2,
    duplicates: 1
  });
  expect(done.errors.map(({ line, code }: { line: number; code: string }) => [line, code])).toEqual([
    [2, 'not_json'],
    [4, 'unknown_shape']
  ]);
  expect(JSON.stringify(done.errors)).not.toContain('broken');
  const kept = await imported(project, text, '?duplicates=keep');
  expect(kept).toMatchObject({ rows_accepted: 3, rows_rejected: 2, duplicates: 0 });
  const { body } = await t.call('GET', `/api/v1/projects/${project}/tasks`);
  expect(body.items.map((task: { number: number }) => task.number)).toEqual([1, 2, 3, 4, 5]);
  expect(await readdir(join(t.config.dataDir, 'imports'))).toEqual([]);
});

test('more errors than are kept are all counted', async () => {
  const wrong = limits.intake.errors_kept_max + 700;
  const done = await imported(await t.project(), '{}\n'.repeat(wrong));
  expect(done.rows_rejected).toBe(wrong);
  expect(done.errors.length).toBe(limits.intake.errors_kept_max);
});

test('what cannot be imported at all is refused before anything is kept', async () => {
  const project = await t.project();
  expect((await send(project, 'x', { 'content-type': 'text/plain' })).body.code).toBe('unknown_content_type');
  expect((await send(project, 'x', { ...jsonl, 'content-encoding': 'br' })).body.code).toBe(
    'unknown_encoding'
  );
  expect((await send(project, '')).body.code).toBe('empty_file');
  expect((await send(project, 'x', jsonl, '?mapping=%7B')).body.code).toBe('bad_mapping');
  const wrong = await send(
    project,
    'x',
    jsonl,
    `?mapping=${encodeURIComponent('{"prompt":"p","outputs":[]}')}`
  );
  expect(wrong.body.detail).toContain('mapping.outputs');
  expect((await t.call('GET', `/api/v1/projects/${project}/imports`)).body.items).toEqual([]);
});

test('a full disk is one sentence and leaves nothing', async () => {
  const folder = join(t.config.dataDir, 'full');
  const imports = join(folder, 'imports');
  await mkdir(imports, { recursive: true });
  // A real full disk where this process may mount one; elsewhere the body brings the kernel's own error.
  const real = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', imports]).status === 0;
  async function* body() {
    for (let i = 0; i < 64; i++) yield Buffer.alloc(4_096, 'x');
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  }
  try {
    const refused = { status: 507, code: 'disk_full' };
    await expect(receive(folder, 'import_x', body(), 0)).rejects.toMatchObject(refused);
    expect(await readdir(imports)).toEqual([]);
    // Nor is the last room taken, which PostgreSQL needs.
    const whole = Readable.from(Array.from({ length: 50 }, () => Buffer.from('{}')));
    await expect(receive(folder, 'import_x', whole, Infinity)).rejects.toMatchObject(refused);
    // The sender was heard out, or it would never read why.
    expect(whole.readableEnded).toBe(true);
    expect(await readdir(imports)).toEqual([]);
  } finally {
    if (real) spawnSync('umount', [imports]);
  }
});

test('what a killed server had received and never noted is removed at the next start', async () => {
  const own = await testApp();
  const folder = join(own.config.dataDir, 'imports');
  await own.app.close();
  await mkdir(folder);
  await writeFile(join(folder, 'import_forgotten.file'), '{}');
  const app = await createApp(own.config, () => {});
  await expect.poll(() => readdir(folder)).toEqual([]);
  await app.close();
  await own.close();
});

test('a file that breaks off fails with its reason and keeps the rows before', async () => {
  const project = await t.project();
  const sent = await send(project, '[{"prompt":"a"},{"prompt":"b"},', { 'content-type': 'application/json' });
  const done = await ended(sent.body.id);
  expect(done).toMatchObject({ status: 'failed', failure: expect.stringContaining('not closed') });
});

test('the beginning of a file shows its columns', async () => {
  const project = await t.project();
  const call = (body: string, type: string) =>
    t.call('POST', `/api/v1/projects/${project}/imports/preview`, {
      body,
      headers: { 'content-type': type }
    });
  const { body } = await call('q,one,two\nWhat?,a,b\n', 'text/csv');
  expect(body).toEqual({
    columns: ['q', 'one', 'two'],
    rows: [{ q: 'What?', one: 'a', two: 'b' }],
    shape: null,
    errors: []
  });
  const long = await call(rowsOf(9_000), 'application/jsonl');
  expect([long.body.rows.length, long.body.shape]).toEqual([5, 'preference']);
});

test('killed at random in the middle, an import ends with every row once', { timeout: 240_000 }, async () => {
  const project = await t.project();
  const file = join(t.config.dataDir, 'killed.jsonl');
  await writeFile(file, rowsOf(12_000));
  const env = { ...process.env, ...childEnv(project, file) };
  const program = join(import.meta.dirname, 'testing-import.ts');
  const deaths: (string | null)[] = [];
  for (let attempt = 0; attempt < 6; attempt++) {
    const child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    // `started` is printed when the import begins, so that the kill falls into it.
    await new Promise<void>((resolve) => child.stdout!.once('data', () => resolve()));
    const timer = setTimeout(() => child.kill('SIGKILL'), 60 + attempt * 70);
    deaths.push(await new Promise((resolve) => child.once('close', (_, signal) => resolve(signal))));
    clearTimeout(timer);
  }
  expect(deaths).toContain('SIGKILL');
  await new Promise<void>((resolve) =>
    spawn(process.execPath, [program], { env, stdio: ['ignore', 'ignore', 'inherit'] }).once('close', () =>
      resolve()
    )
  );
  const imports = async () => (await t.call('GET', `/api/v1/projects/${project}/imports`)).body.items;
  // On a slow machine the server here has taken it on meanwhile, and the last process left it that.
  await expect.poll(async () => (await imports())[0].status, { timeout: 30_000 }).toBe('done');
  const items = await imports();
  expect(items).toHaveLength(1);
  expect(items[0]).toMatchObject({ status: 'done', rows_read: 12_000, rows_accepted: 12_000, duplicates: 0 });
  const { response } = await t.call('GET', `/api/v1/projects/${project}/pairs?format=trl`);
  const prompts = (await response.text())
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).prompt[0].content);
  expect(new Set(prompts).size).toBe(12_000);
  expect(prompts.length).toBe(12_000);
  expect(existsSync(join(t.config.dataDir, 'imports', `${items[0].id}.file`))).toBe(false);
});

function childEnv(project: string, file: string) {
  return {
    IMPORT_DATABASE: t.config.databaseUrl!,
    IMPORT_DATA_DIR: t.config.dataDir,
    IMPORT_PROJECT: project,
    IMPORT_FILE: file
  };
}
