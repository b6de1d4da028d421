import { readFile } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Task } from '#wire/task.ts';
import { realServer, type RealServer } from '../real-server.ts';
import { carry } from './cards.ts';
import {
  callAs,
  acceptInvitation,
  expectToHold,
  openBrowser,
  person,
  picture,
  press,
  rows,
  saved,
  signUpFirst,
  type Person
} from './people.ts';

/*
 * One newcomer's first hour, in order: each test goes on where the one before ended.
 */
let server: RealServer;
let browser: Browser;
let ada: Person;
let bo: Person;
let project = '';
let tasks: Task[] = [];
let runPath = '';
let adapterPath = '';

beforeAll(async () => {
  server = await realServer();
  browser = await openBrowser();
  ada = await person(browser, server.origin, 'Ada Osei');
  bo = await person(browser, server.origin, 'Bo Lindqvist');
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const here = (page: Page) => page.getByRole('list', { name: 'On this task now' });
const review = (task: { id: string }) => `/projects/${project}/review/${task.id}`;

test('the first account finds a demo project that is ready to use', async () => {
  const { page } = ada;
  await hold(page, [['welcome', '/welcome']]);
  project = await signUpFirst(ada);
  await page.getByRole('heading', { name: /^Demo/ }).waitFor();
  await page.getByText('40 tasks wait for your ranking').waitFor();
  await page.getByRole('link', { name: 'Tasks', exact: true }).click();
  await page.getByRole('row').nth(40).waitFor();
  const listed = await callAs<{ items: Task[] }>(ada, 'GET', `/projects/${project}/tasks?limit=50`);
  const { items } = listed.body;
  expect(items.map(({ outputs }) => outputs.length)).toEqual(Array(40).fill(4));
  tasks = items;
});

test('nobody signs up any more; a colleague comes by invitation', async () => {
  await bo.page.goto('/welcome');
  await bo.page.waitForURL('**/sign-in**');
  await ada.page.getByRole('link', { name: 'Members' }).click();
  await ada.page.getByRole('button', { name: 'Invite somebody' }).click();
  await ada.page.getByLabel('Email').fill(bo.email);
  await ada.page.getByLabel('Role').selectOption('reviewer');
  await ada.page.getByRole('button', { name: 'Make a link' }).click();
  const link = await ada.page
    .getByText(/\/invite\//)
    .first()
    .innerText();
  await acceptInvitation(bo, link.trim());
});

test('two people in one task see each other, and each move while it happens', async () => {
  const [a, b] = [ada.page, bo.page];
  for (const page of [a, b]) {
    await page.goto(review(tasks[2]!));
    await saved(page);
  }
  await here(a).getByText(bo.name).waitFor();
  await here(b).getByText(ada.name).waitFor();
  for (const page of [a, b]) await page.keyboard.press('t');

  // By number keys: A first, B and C second, tied.
  await press(a, '1', '2', '2');
  await expect.poll(() => rows(b)).toEqual([['A'], ['B', 'C'], [], []]);

  // By dragging: D goes between the two, and Ada sees it in Bo's hand first.
  const letGo = await carry(b, 'D', { gap: 1 });
  await a.getByText(`${bo.name} moves this`).waitFor();
  await picture(b, 'pages/review-drag-light-1440');
  await letGo();
  await expect.poll(() => rows(a)).toEqual([['A'], ['D'], ['B', 'C'], []]);
  expect(await rows(b)).toEqual(await rows(a));

  const note = 'None names the right rib. B repeats itself; C leaves out the pneumonia.';
  await a.getByLabel('Notes').fill(note);
  await expect.poll(() => b.getByLabel('Notes').inputValue()).toBe(note);
  await saved(a);
  await picture(b, 'review');
  // What one person takes back is their own move, not the other's.
  await b.getByRole('heading', { level: 1 }).click();
  await b.keyboard.press('Control+z');
  await expect.poll(() => rows(a)).toEqual([['A'], ['B', 'C'], [], []]);
});

test('what was shown as saved is there after the server was killed, and what was not is delivered', async () => {
  const [a, b] = [ada.page, bo.page];
  for (const page of [a, b]) {
    await page.goto(review(tasks[1]!));
    await saved(page);
  }
  await press(a, '1', '3');
  await b.keyboard.press('4');
  for (const page of [a, b]) await saved(page);
  await server.kill();
  await saved(a, 'offline');
  await a.keyboard.press('2');
  expect(await rows(a)).toEqual([['A'], ['C'], ['B'], []]);
  await saved(a, 'offline');
  await server.start();
  await saved(a);
  for (const page of [a, b]) {
    await page.reload();
    await saved(page);
  }
  expect(await rows(a)).toEqual([['A'], ['C'], ['B'], []]);
  expect(await rows(b)).toEqual([[], [], [], ['A']]);
});

test('edits that a closing page could not deliver are delivered by the next one', async () => {
  const { page, context } = bo;
  await page.goto(review(tasks[2]!));
  await saved(page);
  await context.setOffline(true);
  await server.kill();
  await saved(page, 'offline');
  await press(page, '1', '2');
  expect(await rows(page)).toEqual([['A'], ['B'], [], []]);
  await page.close();
  await context.setOffline(false);
  await server.start();
  bo.page = await context.newPage();
  await bo.page.goto(review(tasks[2]!));
  await saved(bo.page);
  await expect.poll(() => rows(bo.page)).toEqual([['A'], ['B'], [], []]);
});

test('submitted rankings become pairs that say who, when and from which ranking', async () => {
  for (const { page } of [ada, bo]) {
    await page.goto(`/projects/${project}/review`);
    for (let task = 0; task < 6; task++) {
      await page.waitForURL('**/review/task_*');
      await saved(page);
      const at = page.url();
      // What stands from before is overwritten, card by card.
      await press(page, '0', 'ArrowRight', '0', 'ArrowRight', '0', 'ArrowRight', '0');
      for (let step = 0; step < 3; step++) await page.keyboard.press('ArrowLeft');
      await press(page, '2', '1', '3', '3');
      expect(await rows(page)).toEqual([['B'], ['A'], ['C', 'D'], []]);
      await page.keyboard.press('Control+Enter');
      await page.waitForURL((url) => url.href !== at && /task_/.test(url.href));
    }
  }
  const { page } = ada;
  await page.getByRole('link', { name: 'Pairs', exact: true }).click();
  await page
    .getByRole('button', { name: /Show this pair of task 1/ })
    .first()
    .click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(`${ada.name}, ${bo.name}`).waitFor();
  await dialog.getByText(/^ranking_/).waitFor();
  await dialog.getByText(/review, version 1/).waitFor();
  await picture(page, 'pages/pair-source-light-1440');
  await page.keyboard.press('Escape');
});

test('one button freezes a dataset with a hash', async () => {
  const { page } = ada;
  await page.getByRole('link', { name: 'Datasets' }).click();
  await page.getByRole('button', { name: 'Freeze a dataset' }).click();
  await page.getByLabel('Held out, in percent').fill('20');
  await page.getByRole('dialog').getByRole('button', { name: 'Freeze', exact: true }).click();
  await page.waitForURL('**/datasets/dataset_*');
  await page
    .getByText(/[0-9a-f]{64}/)
    .first()
    .waitFor();
});

async function startRun(page: Page, name: string, steps: number) {
  await page.goto(`/projects/${project}/runs/new`);
  await page.getByLabel('Name').fill(name);
  await page.getByText('More settings').click();
  await page.getByLabel('Steps at most').fill(String(steps));
  await page.getByRole('button', { name: 'Start DPO round' }).click();
  await page.waitForURL('**/runs/run_*');
}

test('a DPO round is drawn while it goes on, and can be stopped', async () => {
  const { page } = ada;
  await startRun(page, 'Too long', 100_000);
  await page.getByText(/Step \d+ of 100,000/).waitFor();
  await page.getByRole('button', { name: 'Stop the run' }).click();
  await page.getByText(/Stopped at step \d+/).waitFor();
});

test('a round outlives the server that was killed, and ends with an adapter', async () => {
  const { page } = ada;
  await startRun(page, 'First round', 60);
  await page.getByText(/Step \d+ of 60/).waitFor();
  await server.kill();
  await page.getByText(/The connection is lost/).waitFor();
  await server.start();
  await page.getByText(/Done after 60 steps/).waitFor({ timeout: 180_000 });
  for (const chart of ['Loss', 'Rewards', 'Margin', 'Accuracy'])
    await page.getByRole('figure', { name: chart }).waitFor();
  runPath = new URL(page.url()).pathname;
  await picture(page, 'run');
});

test('the adapter answers beside its base in the browser, and downloads as PEFT files', async () => {
  const { page } = ada;
  await page.getByRole('link', { name: 'Preview the adapter' }).click();
  await page.waitForURL('**/adapters/adapter_*');
  adapterPath = new URL(page.url()).pathname;
  await page.getByLabel('Take a prompt from a task').selectOption({ index: 1 });
  await page.getByRole('button', { name: 'Generate' }).click();
  const side = (name: string) => page.getByRole('region', { name, exact: true });
  for (const name of ['Base', 'Adapter'])
    await side(name)
      .getByText(/\d+ tokens? · .*tokens\/s/)
      .waitFor({ timeout: 120_000 });
  await picture(page, 'preview');
  const downloading = page.waitForEvent('download');
  await page.getByRole('link', { name: /^Download/ }).click();
  const bytes = await readFile(await (await downloading).path());
  expect(bytes.subarray(0, 2).toString()).toBe('PK');
  for (const file of ['adapter_config.json', 'adapter_model.safetensors'])
    expect(bytes.includes(file)).toBe(true);
});

test('where the most uncertain tasks come first, the overview says how many the adapter has scored', async () => {
  const { page } = ada;
  const review = { order: 'uncertainty' };
  expect((await callAs(ada, 'PATCH', `/projects/${project}`, { review })).status).toBe(200);
  await page.goto(`/projects/${project}`);
  await page.getByText(/The adapter “First round” has scored \d+ of \d+ open tasks\./).waitFor();
});

/** Below the project's address, by the name of their pictures. */
const pages = (): [string, string][] => [
  ['overview', ''],
  ['import', '/import'],
  ['tasks', '/tasks'],
  ['review', `/review/${tasks[9]!.id}`],
  ['tables', '/table'],
  ['pairs', '/pairs'],
  ['datasets', '/datasets'],
  ['runs', '/runs'],
  ['run-new', '/runs/new'],
  ['adapters', '/adapters'],
  ['members', '/members'],
  ['settings', '/settings']
];

test('every page holds, in light, dark and forced colours, and on a phone', async () => {
  const { page } = ada;
  const { body } = await callAs<{ items: { id: string }[] }>(ada, 'GET', `/projects/${project}/datasets`);
  const dataset = `/projects/${project}/datasets/${body.items[0]!.id}`;
  await hold(page, [
    ...pages().map(([name, path]): [string, string] => [name, `/projects/${project}${path}`]),
    ...([
      ['dataset', dataset],
      ['run', runPath],
      ['adapter', adapterPath],
      ['projects', '/'],
      ['project-new', '/projects/new'],
      ['account', '/account']
    ] as [string, string][])
  ]);
}, 600_000);

test('the pages of those who are not in yet hold too', async () => {
  const given = { email: 'cy@example.org', role: 'reviewer' };
  const path = `/projects/${project}/invitations`;
  const { body } = await callAs<{ link: string }>(ada, 'POST', path, given);
  const { page, context } = await person(browser, server.origin, 'Cy Aydin');
  await hold(page, [
    ['sign-in', '/sign-in'],
    ['invite', new URL(body.link).pathname]
  ]);
  await context.close();
});

async function hold(page: Page, paths: [string, string][]): Promise<void> {
  for (const [name, path] of paths) {
    await page.goto(path);
    await page.waitForLoadState('networkidle');
    await expectToHold(page, `pages/${name}`);
  }
}

test('no page complained', () => {
  expect([...ada.complaints, ...bo.complaints]).toEqual([]);
});
