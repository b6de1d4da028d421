import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testApp, type TestApp } from '../testing-app.ts';

const data = new URL('../../../shared/data', import.meta.url).pathname;
const present = existsSync(data) || Boolean(process.env.CI);

let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

async function importBytes(project: string, body: Uint8Array | string, query = '', headers = {}) {
  const sent = await t.call('POST', `/api/v1/projects/${project}/imports${query}`, {
    body: body as Uint8Array,
    headers: { 'content-type': 'application/jsonl', ...headers }
  });
  expect([sent.status, sent.body.detail]).toEqual([202, undefined]);
  for (;;) {
    const { body } = await t.call('GET', `/api/v1/imports/${sent.body.id}`);
    if (body.status === 'done' || body.status === 'failed') return body;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const freeze = (project: string, body: object = {}) =>
  t.call('POST', `/api/v1/projects/${project}/datasets`, {
    body: { name: 'First', eval_fraction: 0.1, seed: 7, ...body }
  });

async function lines(path: string): Promise<Record<string, any>[]> {
  const { response } = await t.call('GET', path);
  const text = await response.text();
  return text
    ? text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
    : [];
}

const PANDALM = {
  prompt: '{instruction}\n\n{input}',
  outputs: ['response1', 'response2'],
  votes: ['annotator1', 'annotator2', 'annotator3'].map((column) => ({
    column,
    rater: column,
    values: { '1': [[0], [1]], '2': [[1], [0]], '0': [[0, 1]] }
  }))
};

test.skipIf(!present)(
  'PandaLM: majorities counted by hand are the pairs, and a dataset holds them',
  async () => {
    const packed = readFileSync(`${data}/prefs-pandalm-3annotators/testset.jsonl.gz`);
    const rows = gunzipSync(packed)
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const distinct = new Map(
      rows.map((row) => [
        JSON.stringify([
          `${row.instruction}\n\n${row.input}`.trim(),
          row.response1,
          row.response2,
          row.annotator1,
          row.annotator2,
          row.annotator3
        ]),
        row
      ])
    );
    const decided = [...distinct.values()].filter((row) => {
      const votes = [row.annotator1, row.annotator2, row.annotator3].map(String);
      return ['1', '2'].some((side) => votes.filter((vote) => vote === side).length >= 2);
    });

    const project = await t.project();
    const done = await importBytes(
      project,
      packed,
      `?mapping=${encodeURIComponent(JSON.stringify(PANDALM))}`,
      {
        'content-encoding': 'gzip'
      }
    );
    expect(done).toMatchObject({
      status: 'done',
      rows_read: 616,
      rows_rejected: 0,
      rows_accepted: distinct.size
    });
    expect(done.duplicates).toBe(616 - distinct.size);

    const pairs = await lines(`/api/v1/projects/${project}/pairs?format=trl`);
    expect(pairs.length).toBe(decided.length);
    const wanted = new Set(
      decided.map((row) => {
        const first =
          [row.annotator1, row.annotator2, row.annotator3].filter((v) => String(v) === '1').length >= 2;
        return JSON.stringify(first ? [row.response1, row.response2] : [row.response2, row.response1]);
      })
    );
    for (const { chosen, rejected } of pairs)
      expect(wanted.has(JSON.stringify([chosen[0].content, rejected[0].content]))).toBe(true);

    const made = await freeze(project);
    expect([made.status, made.body.detail]).toEqual([201, undefined]);
    const again = await freeze(project);
    expect(again.body.sha256).toBe(made.body.sha256);
    expect((await freeze(project, { seed: 8 })).body.sha256).not.toBe(made.body.sha256);
    expect(made.body.counts).toMatchObject({ pairs: decided.length, raters: 3 });
    const { response } = await t.call('GET', `/api/v1/datasets/${made.body.id}/export?format=trl-jsonl`);
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(made.body.sha256);
    const held = await lines(`/api/v1/datasets/${made.body.id}/export?split=eval`);
    expect(held.length).toBe(made.body.counts.eval_pairs);
    const heldPrompts = new Set(held.map(({ prompt }) => JSON.stringify(prompt)));
    const trained = await lines(`/api/v1/datasets/${made.body.id}/export?split=train`);
    expect(trained.some(({ prompt }) => heldPrompts.has(JSON.stringify(prompt)))).toBe(false);
    expect(heldPrompts.size).toBe(Math.round(made.body.counts.prompts * 0.1));
  }
);

test.skipIf(!present)('HH-RLHF imports as it lies there: every row is counted once', async () => {
  const packed = readFileSync(`${data}/prefs-hh-rlhf-harmless/harmless-base-test.jsonl.gz`);
  const rows = gunzipSync(packed)
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const same = rows.filter((row) => row.chosen.trim() === row.rejected.trim()).length;
  const project = await t.project();
  const done = await importBytes(project, packed, '', { 'content-encoding': 'gzip' });
  expect(done.rows_read).toBe(1616);
  expect(done.rows_accepted + done.rows_rejected + done.duplicates).toBe(1616);
  expect(done.rows_rejected).toBeGreaterThanOrEqual(same);
  expect(done.rows_accepted).toBeGreaterThan(1500);
  const pairs = await lines(`/api/v1/projects/${project}/pairs?format=trl`);
  expect(pairs.length).toBe(done.rows_accepted);
  const chosen = new Set(rows.map((row) => row.chosen));
  for (const pair of pairs.slice(0, 200)) {
    const turns = pair.prompt.map(
      ({ role, content }: { role: string; content: string }) =>
        `\n\n${role === 'user' ? 'Human' : 'Assistant'}: ${content}`
    );
    const text = `${turns.join('')}\n\nAssistant: ${pair.chosen[0].content}`;
    if (!chosen.has(text))
      expect([...chosen].some((one) => one.replace(/\s+/g, '') === text.replace(/\s+/g, ''))).toBe(true);
  }
  const again = await importBytes(project, packed, '', { 'content-encoding': 'gzip' });
  expect(again).toMatchObject({ rows_accepted: 0, rows_rejected: done.rows_rejected });
});

test('a stranger gets 404 on every call of these rooms, a reviewer no pairs', async () => {
  const project = await t.project();
  const other = await t.project();
  await importBytes(project, '{"prompt":"a","chosen":"b","rejected":"c"}\n');
  const { body } = await freeze(project, { eval_fraction: 0 });
  const { items } = (await t.call('GET', `/api/v1/projects/${project}/tasks`)).body;
  const { token } = await t.member(other, 'owner');
  const calls = [
    ['GET', `/projects/${project}/tasks`],
    ['POST', `/projects/${project}/tasks/next`],
    ['POST', `/projects/${project}/imports`],
    ['POST', `/projects/${project}/imports/preview`],
    ['GET', `/projects/${project}/imports`],
    ['GET', `/projects/${project}/pairs`],
    ['GET', `/projects/${project}/datasets`],
    ['POST', `/projects/${project}/datasets`],
    ['GET', `/tasks/${items[0].id}`],
    ['POST', `/tasks/${items[0].id}/skip`],
    ['GET', `/datasets/${body.id}`],
    ['GET', `/datasets/${body.id}/export`]
  ] as const;
  for (const [method, path] of calls)
    expect([path, (await t.call(method, `/api/v1${path}`, { token })).status]).toEqual([path, 404]);
  const reviewer = await t.member(project, 'reviewer');
  for (const path of ['pairs', 'datasets', 'imports'])
    expect(
      (await t.call('GET', `/api/v1/projects/${project}/${path}`, { token: reviewer.token })).status
    ).toBe(403);
});
