import { spawnSync } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { trainerIn } from '../../demo/trainer.ts';
import { DEMO, modelFolder, readText } from '../../server/runs/index.ts';
import { readConfig } from '../../server/config.ts';
import { trainerBuilt } from '../../server/runs/testing-model.ts';
import type { Run } from '../../src/lib/wire/run.ts';
import type { Task } from '../../src/lib/wire/task.ts';
import { realServer, type RealServer } from '../real-server.ts';
import { barriers, callAs, openBrowser, person, signUpFirst, type Person } from './people.ts';

/** Base and adapter side by side in a real browser, held against the trainer's own greedy text. */
const here = test.skipIf(!trainerBuilt);
const base = modelFolder(readConfig({}), DEMO);
const LENGTH = 60;

let server: RealServer;
let browser: Browser;
let ada: Person;
let page: Page;
let folder: string;
let project: string;
let tasks: Task[];
let runs: Run[];
/** Files of the preview that the browser asked the server for, without their hashes. */
const fetched: string[] = [];

async function call<T>(method: string, path: string, data?: unknown): Promise<T> {
  const { status, body } = await callAs<T>(ada, method, path, data);
  if (status >= 300) throw new Error(`${method} ${path} answered ${status}: ${JSON.stringify(body)}`);
  return body;
}

async function train(dataset: string, name: string, objective: string, r: number): Promise<Run> {
  const hyperparameters = { max_steps: 12, r, learning_rate: 2e-3, groups_per_step: 2 };
  const body = { dataset, model: 'model_demo', objective, name, hyperparameters };
  const { id } = await call<Run>('POST', '/runs', body);
  for (;;) {
    const run = await call<Run>('GET', `/runs/${id}`);
    if (!['queued', 'running'].includes(run.status)) return run;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

beforeAll(async () => {
  if (!trainerBuilt) return;
  folder = await mkdtemp(join(tmpdir(), 'concord-preview-test-'));
  server = await realServer();
  browser = await openBrowser();
  ada = await person(browser, server.origin, 'Ada Byron');
  page = ada.page;
  ada.context.on('request', (request) => {
    const { pathname } = new URL(request.url());
    const found = /\/(models|adapters)\/[^/]+\/(?:preview|files)\/(.+)$/.exec(pathname);
    if (found) fetched.push(`${found[1]}/${found[2]}`);
  });
  project = await signUpFirst(ada);
  tasks = (await call<{ items: Task[] }>('GET', `/projects/${project}/tasks?limit=50`)).items;
  for (const task of tasks.slice(0, 8)) {
    const byLength = task.outputs.toSorted((a, b) => a.text.length - b.text.length);
    await call('PUT', `/tasks/${task.id}/ranking`, { tiers: byLength.map(({ id }) => [id]) });
  }
  const frozen = { name: 'The short ones', eval_fraction: 0.2, seed: 1 };
  const { id } = await call<{ id: string }>('POST', `/projects/${project}/datasets`, frozen);
  runs = [await train(id, 'Shorter by DPO', 'dpo', 8), await train(id, 'Shorter by SFT', 'sft', 2)];
  expect(runs.map(({ status, error }) => [status, error])).toEqual([
    ['done', null],
    ['done', null]
  ]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const side = (name: string) => page.getByRole('region', { name, exact: true });
const prompt = () => page.getByRole('textbox', { name: 'Prompt' });
const adapterPage = (run: Run) => `/projects/${project}/adapters/${run.adapter}`;

/** Presses the button and waits for both texts; answers with them and with what was fetched meanwhile. */
async function generate() {
  const before = fetched.length;
  await page.getByRole('button', { name: 'Generate' }).click();
  for (const name of ['Base', 'Adapter'])
    await side(name)
      .getByText(/^\d+ tokens? · /)
      .waitFor();
  const [left, right] = await page.locator('section .text').allTextContents();
  return { left, right, fetched: fetched.slice(before) };
}

/** Loads the page as after an update of the server: the app's worker is installed anew, and clears up after the old one. */
async function updateApp(): Promise<void> {
  await page.evaluate(async () => {
    await caches.open('concord-app-of-before');
    await (await navigator.serviceWorker.ready).unregister();
  });
  await page.reload();
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => null));
  await expect.poll(() => page.evaluate(() => caches.has('concord-app-of-before'))).toBe(false);
}

/** What the trainer writes for these tasks with that adapter's files. */
async function trainerTexts(some: Task[], adapter?: string): Promise<string[]> {
  const text = await readText(base);
  const trainer = await trainerIn(join(folder, 'trainer'), { threads: 2 });
  const prompts = some.map(({ prompt }) => text.prompt(prompt));
  const written = await trainer.generate({
    ...{ model: base, adapter, prompts },
    ...{ temperature: 0, maxNewTokens: LENGTH }
  });
  return written.map(([ids]) => text.decode(ids!));
}

/** The adapter as a person gets it: downloaded by the page's button, unpacked. */
async function download(): Promise<string> {
  const coming = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download' }).click();
  const archive = join(folder, (await coming).suggestedFilename());
  await (await coming).saveAs(archive);
  const out = join(folder, 'unpacked');
  const { status, stderr } = spawnSync('python3', ['-m', 'zipfile', '-e', archive, out], {
    encoding: 'utf8'
  });
  expect([status, stderr]).toEqual([0, '']);
  return join(out, (await readdir(out))[0]!);
}

here('base and adapter write what the trainer writes, each fetched once', { timeout: 120_000 }, async () => {
  await page.goto(`/projects/${project}/adapters`);
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('link', { name: 'Shorter by DPO' }).first().click();
  await page.getByRole('heading', { level: 1, name: 'Shorter by DPO' }).waitFor();
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
  expect(fetched).toEqual([]);

  await page.getByText('Sampling').click();
  await page.getByRole('spinbutton', { name: /^Length/ }).fill(String(LENGTH));
  const asked = [tasks[1]!, tasks[20]!, tasks[33]!];
  const written: [string?, string?][] = [];
  const costs: string[][] = [];
  for (const task of asked) {
    await page.getByLabel('Take a prompt from a task').selectOption(task.id);
    expect(await prompt().inputValue()).toBe(task.prompt.at(-1)!.content);
    const { left, right, fetched } = await generate();
    written.push([left, right]);
    costs.push(fetched);
  }
  expect(costs[0]).toEqual(
    expect.arrayContaining([
      ...['models/model.onnx', 'models/weights-0.bin', 'models/tokenizer.json'],
      ...['adapters/adapter_config.json', 'adapters/adapter_model.safetensors']
    ])
  );
  expect(costs.slice(1)).toEqual([[], []]);
  expect(written.map(([left]) => left)).toEqual(await trainerTexts(asked));
  const adapter = await download();
  expect(written.map(([, right]) => right)).toEqual(await trainerTexts(asked, adapter));

  const differing = asked[written.findIndex(([left, right]) => left !== right)];
  expect(differing).toBeDefined();
  await page.getByLabel('Take a prompt from a task').selectOption(differing!.id);
  await generate();
  await page.getByLabel('Mark word differences').check();
  expect(await page.locator('section mark').count()).toBeGreaterThan(0);
  expect(await barriers(page)).toEqual([]);

  const other = page.getByLabel('Adapter beside the base');
  await other.selectOption({ label: 'Shorter by SFT' });
  await page.waitForURL(`**${adapterPage(runs[1]!)}`);
  expect((await generate()).fetched).toEqual([
    'adapters/adapter_config.json',
    'adapters/adapter_model.safetensors'
  ]);

  await updateApp();
  await prompt().fill(asked[0]!.prompt.at(-1)!.content);
  expect((await generate()).fetched).toEqual([]);
  expect(ada.complaints).toEqual([]);
});

here('stops when asked, and names what cannot be done', { timeout: 60_000 }, async () => {
  await page.goto(adapterPage(runs[0]!));
  await page.getByText('Sampling').click();
  await prompt().fill('Explain this clause in plain English.');
  // Nearly every token is as likely as any other, so the text does not end by itself.
  await page.getByRole('spinbutton', { name: /^Temperature/ }).fill('5');
  await page.getByRole('spinbutton', { name: /^Length/ }).fill('480');
  await page.getByRole('button', { name: 'Generate' }).click();
  await page.waitForFunction(() => document.querySelectorAll('section .text')[1]!.textContent!.length > 40);
  await page.getByRole('button', { name: 'Stop' }).click();
  for (const name of ['Base', 'Adapter'])
    await side(name)
      .getByText(/· stopped$/)
      .waitFor();

  await prompt().fill('The lungs are clear. '.repeat(400));
  await prompt().press('Control+Enter');
  const alert = page.getByRole('alert');
  await alert.waitFor();
  expect(await alert.textContent()).toMatch(/The prompt has [\d,]+ tokens, and the base reads 511 at most/);

  // The files of the adapter that is chosen next are gone from the server.
  await rm(join(server.dataDir, 'adapters', runs[1]!.adapter!), { recursive: true });
  await page.evaluate(async () => {
    for (const name of await caches.keys()) await caches.delete(name);
  });
  await page.goto(adapterPage(runs[1]!));
  await prompt().fill('Explain this clause in plain English.');
  await page.getByRole('button', { name: 'Generate' }).click();
  await alert.getByText('The files of this adapter are gone from the data folder').waitFor();
});
