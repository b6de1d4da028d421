import { afterAll, beforeAll, expect, test } from 'vitest';
import { testApp, type TestApp } from '../../server/testing-app.ts';

/** In a blind project, everything that the server has to read is read by those who must not know, and searched. */
let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

/** Words that stand in one person's judgement and nowhere else; and those that say where a task comes from. */
const JUDGED = ['planted-comment', 'planted-reason', 'planted-edit'];
const ORIGIN = ['planted-source', 'planted-metadata', 'planted-rater'];

const row = {
  prompt: 'What does the film show?',
  outputs: [
    { text: 'A clear chest.', source: 'planted-source' },
    { text: 'A fracture.', source: 'b' }
  ],
  ranking: [[0], [1]],
  rater: 'planted-rater',
  ward: 'planted-metadata'
};

async function blindProject() {
  const project = await t.project({ mode: 'blind', overlap: 3 });
  const sent = await t.call('POST', `/api/v1/projects/${project}/imports`, {
    body: JSON.stringify(row),
    headers: { 'content-type': 'application/jsonl' }
  });
  await expect.poll(async () => (await get(`/imports/${sent.body.id}`)).status).toBe('done');
  const { items } = await get(`/projects/${project}/tasks`);
  const task = items[0].id as string;
  const [a, b] = items[0].outputs.map(({ id }: { id: string }) => id) as [string, string];
  const rank = async (token: string, judgement: object = {}, at = task) => {
    const body = { tiers: [[a], [b]], ...judgement };
    expect((await t.call('PUT', `/api/v1/tasks/${at}/ranking`, { token, body })).status).toBe(200);
  };
  const ada = await t.member(project, 'reviewer', 'Ada');
  await rank(ada.token, {
    ...{ tiers: [[b], [a]], comment: 'planted-comment', reason: 'planted-reason' },
    edited: { output: b, text: 'planted-edit' }
  });
  const frozen = { name: 'All there is', eval_fraction: 0, seed: 1 };
  const dataset = await t.call('POST', `/api/v1/projects/${project}/datasets`, { body: frozen });
  return { project, task, rank, world: { project, task, import: sent.body.id, dataset: dataset.body.id } };
}

const get = async (path: string) => (await t.call('GET', `/api/v1${path}`)).body;

/** Every answer to GET that names only things of this world, in one text. */
async function everything(token: string, world: Record<string, string>): Promise<string> {
  const { paths } = await get('/openapi.json');
  const known = Object.keys(paths).filter(
    (path) => paths[path].get && [...path.matchAll(/\{(\w+)\}/g)].every(([, name]) => name! in world)
  );
  const queries = ['', '?format=trl', '?format=trl-jsonl', '?format=csv', '?q=planted'];
  const texts: string[] = [];
  for (const path of known.map((path) => path.replace(/\{(\w+)\}/g, (_, name) => world[name]!)))
    for (const query of path === '/openapi.json' ? [] : queries)
      texts.push(await (await t.call('GET', `/api/v1${path}${query}`, { token })).response.text());
  expect(texts.length).toBeGreaterThan(40);
  return texts.join('\n');
}

const found = (text: string, words: string[]) => words.filter((word) => text.includes(word));

test('before the reveal a reviewer reads nothing of another, nor where an output comes from', async () => {
  const { project, rank, world } = await blindProject();
  const bo = await t.member(project, 'reviewer', 'Bo');
  expect(found(await everything(bo.token, world), [...JUDGED, ...ORIGIN])).toEqual([]);
  await rank(bo.token);
  expect(found(await everything(bo.token, world), [...JUDGED, ...ORIGIN])).toEqual([]);
  const cy = await t.member(project, 'reviewer', 'Cy');
  await rank(cy.token);
  const seen = await everything(bo.token, world);
  expect(found(seen, [...JUDGED, 'planted-source', 'planted-metadata'])).toEqual([
    ...JUDGED,
    'planted-source',
    'planted-metadata'
  ]);
});

test.each(['engineer', 'adjudicator'])('an %s who judges reads nothing of others either', async (role) => {
  const { project, rank, world } = await blindProject();
  const judge = await t.member(project, role);
  const before = found(await everything(judge.token, world), JUDGED);
  // Who does not judge may see how it goes: the search does find what is there.
  expect(before).toEqual(JUDGED);
  await rank(judge.token);
  expect(found(await everything(judge.token, world), JUDGED)).toEqual([]);
});
