import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testApp, type TestApp } from '../../server/testing-app.ts';

/** The calls of the API contract, and those of them that `docs/contracts.md` says are not there yet. */
const CONTRACT = [
  'POST /projects',
  'POST /projects/{}/members',
  'POST /projects/{}/imports',
  'GET /imports/{}',
  'GET /projects/{}/tasks',
  'GET /tasks/{}',
  'POST /projects/{}/tasks/next',
  'POST /tasks/{}/skip',
  'PUT /tasks/{}/ranking',
  'GET /tasks/{}/rankings',
  'POST /tasks/{}/reveal',
  'POST /tasks/{}/adjudication',
  'POST /tasks/{}/consensus',
  'GET /projects/{}/pairs',
  'POST /projects/{}/datasets',
  'GET /datasets/{}/export',
  'POST /models',
  'GET /models',
  'POST /runs',
  'GET /runs/{}',
  'GET /runs/{}/events',
  'POST /runs/{}/cancel',
  'GET /adapters/{}',
  'GET /adapters/{}/files/{}',
  'GET /openapi.json'
];
const NOT_YET = [
  'GET /projects/{}/agreement',
  'GET /projects/{}/ratings',
  'POST /statistics/agreement',
  'POST /statistics/rank-agreement',
  'POST /datasets/{}/sign-off'
];

let t: TestApp;
let document: any;
beforeAll(async () => {
  t = await testApp();
  document = (await t.call('GET', '/api/v1/openapi.json')).body;
});
afterAll(() => t.close());

const operations = () =>
  Object.entries<Record<string, any>>(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      name: `${method.toUpperCase()} ${path.replace(/\{\w+\}/g, '{}')}`,
      operation
    }))
  );

test('every call of the contract is there, but those that are named as missing', async () => {
  const published = operations().map(({ name }) => name);
  expect(CONTRACT.filter((name) => !published.includes(name))).toEqual([]);
  const notes = readFileSync(new URL('../../docs/contracts.md', import.meta.url), 'utf8');
  const missing = notes.slice(notes.indexOf('## Not yet'), notes.indexOf('## How what'));
  for (const name of NOT_YET) {
    const [method, path] = name.replaceAll('{}', 'x').split(' ') as [string, string];
    expect([name, (await t.call(method, `/api/v1${path}`)).body.code]).toEqual([name, 'no_such_call']);
    expect(missing).toContain(path.split('/x/').at(-1)!);
  }
});

test('each says what it takes and what it answers, and whom it lets in', () => {
  expect(document.openapi).toBe('3.1.0');
  for (const { name, operation } of operations()) {
    expect([name, operation.summary?.length > 5, operation.description?.startsWith('For ')]).toEqual([
      name,
      true,
      true
    ]);
    const inPath = operation.parameters.filter((one: { in: string }) => one.in === 'path');
    expect([name, inPath.length]).toEqual([name, name.split('{}').length - 1]);
    const answers = Object.keys(operation.responses);
    expect([name, answers.some((status) => /^2\d\d$/.test(status))]).toEqual([name, true]);
    expect(operation.responses.default.content).toHaveProperty('application/problem+json');
  }
  const { properties } = document.components.schemas.Problem;
  expect(Object.keys(properties).sort()).toEqual(['code', 'detail', 'status', 'title', 'type']);
});

test('a wrong call is told what there is', async () => {
  const nowhere = await t.call('GET', '/api/v1/nowhere');
  expect([nowhere.status, nowhere.body.detail]).toEqual([
    404,
    'There is no call at /api/v1/nowhere; see /api/v1/openapi.json.'
  ]);
  const wrong = await t.call('DELETE', '/api/v1/projects');
  expect([wrong.status, wrong.body.detail]).toEqual([
    405,
    '/api/v1/projects answers to POST, GET, not DELETE.'
  ]);
});
