import { afterAll, beforeAll, expect, test } from 'vitest';
import { trainerBuilt } from './testing-model.ts';
import { preferences, runsApp, type RunsApp } from './testing-runs.ts';

let t: RunsApp;
beforeAll(async () => {
  if (trainerBuilt) t = await runsApp();
});
afterAll(() => t?.close());

const built = test.skipIf(!trainerBuilt);

/** A project whose frozen dataset has these rows, in no particular split. */
async function frozen(rows: string): Promise<string> {
  const project = await t.project();
  const sent = await t.call('POST', `/api/v1/projects/${project}/imports`, {
    body: rows,
    headers: { 'content-type': 'application/jsonl' }
  });
  for (let status = 'queued'; status !== 'done'; await new Promise((resolve) => setTimeout(resolve, 20)))
    status = (await t.call('GET', `/api/v1/imports/${sent.body.id}`)).body.status;
  const body = { name: 'Round one', eval_fraction: 0, seed: 1 };
  return (await t.call('POST', `/api/v1/projects/${project}/datasets`, { body })).body.id;
}
const steering = JSON.stringify({ prompt: 'Is it </s>?', chosen: 'Yes.', rejected: 'No.' });
const job = (dataset: string) => ({
  ...{ dataset, model: t.model, objective: 'dpo' },
  hyperparameters: { max_steps: 2, r: 2, groups_per_step: 2 }
});

built('a run says how many rows it left out', async () => {
  const dataset = await frozen(`${preferences(6)}\n${steering}`);
  const { body } = await t.start(job(dataset));
  const run = await t.ended(body.id);
  expect(run).toMatchObject({ status: 'done', error: null });
  expect(run.metrics).toMatchObject({ 'data/train/dropped_special_in_text': 1 });
  expect(Object.keys(run.metrics).filter((name) => name.startsWith('data/'))).toHaveLength(1);
});

built('a run of which nothing is left fails with the reason', async () => {
  const { body } = await t.start(job(await frozen(steering)));
  expect(await t.ended(body.id)).toMatchObject({
    status: 'failed',
    error: 'The text contains "</s>", which steers this model and is no text to it; write it another way.'
  });
});
