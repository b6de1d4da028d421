import { afterAll, beforeAll, expect, test } from 'vitest';
import type { NormingSession } from '#wire/norming.ts';
import type { Task } from '#wire/task.ts';
import { openPanel, type Panel } from './panel.ts';
import { barriers, callAs, expectToHold, press, saved, type Person } from './people.ts';

/*
 * A panel of three, each in a browser of their own, from the first vote to the second agreement: each test goes on where
 * the one before ended.
 */
let panel: Panel;
let [ada, bo, cy]: Person[] = [];
let project = '';
let tasks: Task[] = [];
let address = '';

beforeAll(async () => {
  const rows = ['Report this chest film: opacity in the right upper zone.', 'Report this knee film.'].map(
    (prompt) => ({ prompt, outputs: ['A nodule. CT advised.', 'No lesion.', 'Follow up.'] })
  );
  panel = await openPanel({ name: 'Chest films, norming', overlap: 1, criteria: [] }, rows);
  [ada, bo, cy] = panel.people;
  ({ project, tasks } = panel);
});

afterAll(() => panel?.close());

/** Ranks by letters, best first, on the page of a task, and submits. */
async function vote({ page }: Person, at: number, letters: string): Promise<void> {
  const task = tasks[at]!;
  if (!page.url().includes(task.id)) await page.goto(`/projects/${project}/review/${task.id}`);
  await saved(page);
  for (const [at, letter] of [...letters].entries())
    await page
      .getByRole('group', { name: `Place of output ${letter}` })
      .getByRole('button', { name: `Place ${at + 1}` })
      .click();
  await saved(page);
  await press(page, 'Control+Enter');
  await page
    .getByText(`Task ${task.number} is submitted.`)
    .or(page.getByText('Nothing waits for you'))
    .first()
    .waitFor();
}

const row = ({ page }: Person, name: RegExp) =>
  page.getByRole('row', { name }).getByRole('cell').allInnerTexts();

test('the lead begins a session; who is on the panel finds it in the bar', async () => {
  const { page } = ada!;
  await page.goto(`/projects/${project}/norming`);
  await page.getByRole('heading', { name: 'No norming session yet' }).waitFor();
  await page.getByRole('button', { name: 'Begin a session' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Name').fill('October panel');
  for (const { name } of [ada!, bo!, cy!]) await dialog.getByLabel(name).check();
  await dialog.getByLabel('How many tasks').fill('2');
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Begin a session' }).click();
  await page.getByRole('heading', { name: 'October panel' }).waitFor();
  address = new URL(page.url()).pathname;
  await bo!.page.goto(`/projects/${project}`);
  await bo!.page.getByRole('link', { name: 'Norming' }).click();
  await bo!.page.getByRole('link', { name: 'October panel' }).click();
  await bo!.page.getByRole('link', { name: 'Rank your next task' }).waitFor();
});

test('while the panel votes, everybody sees how far the others are, and of their votes nothing', async () => {
  await vote(ada!, 0, 'ABC');
  await vote(ada!, 1, 'ABC');
  await bo!.page.getByRole('link', { name: 'Rank your next task' }).click();
  await bo!.page.waitForURL(`**/review/${tasks[0]!.id}`);
  await cy!.page.goto(address);
  await cy!.page.getByRole('cell', { name: '2 of 2' }).waitFor();
  expect(await row(cy!, /^Bo/)).toEqual(['Bo Lindqvist', '0 of 2', '–']);
  await vote(bo!, 0, 'ABC');
  await expect.poll(() => row(cy!, /^Bo/)).toEqual(['Bo Lindqvist', '1 of 2', '–']);
  const seen = await callAs<NormingSession>(cy!, 'GET', address.replace(`/projects/${project}`, ''));
  expect([seen.body.first, ...seen.body.tasks.map(({ before }) => before)]).toEqual([null, null, null]);
  expect(
    (await callAs<{ items: unknown[] }>(cy!, 'GET', `/tasks/${tasks[0]!.id}/rankings`)).body.items
  ).toEqual([]);
});

test('the last vote opens the tables, and every page says how far the first votes agree', async () => {
  await ada!.page.goto(address);
  await ada!.page.getByRole('heading', { name: 'October panel' }).waitFor();
  await vote(bo!, 1, 'CBA');
  await vote(cy!, 0, 'ABC');
  await vote(cy!, 1, 'ABC');
  await ada!.page.getByText('Before the talk: the panel agrees too little to rely on.').waitFor();
  expect((await row(ada!, /^Krippendorff/))[1]).toMatch(/^0\.37 \(-0?[\d.]+ to 1\)$/);
  expect((await row(ada!, /^Two members/)).slice(1)).toEqual(['0.33 (-0.33 to 1)', '–']);
  // What is told while a page is on its way does not lose the click that it comes for.
  await ada!.page.route('**/api/v1/tasks/**', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    await route.continue();
  });
  await ada!.page.getByRole('link', { name: 'Table of task 2' }).click();
  const corrected = await callAs(bo!, 'PUT', `/tasks/${tasks[0]!.id}/ranking`, {
    tiers: tasks[0]!.outputs.map(({ id }) => [id])
  });
  expect(corrected.status).toBe(200);
  await ada!.page.getByRole('heading', { name: 'Table of task 2' }).waitFor();
  // Answers that are still held back are sent on.
  await ada!.page.unrouteAll({ behavior: 'wait' });
});

test('after the talk one votes again; closing keeps the second agreement beside the first', async () => {
  const letters = tasks[1]!.outputs.map(({ id }) => [id]);
  const corrected = await callAs(bo!, 'PUT', `/tasks/${tasks[1]!.id}/ranking`, { tiers: letters });
  expect(corrected.status).toBe(200);
  const { page } = ada!;
  await page.goto(address);
  await page.getByRole('button', { name: 'Close the session' }).click();
  await page.getByText('After the talk: the panel agrees reliably.').waitFor();
  expect((await row(ada!, /^Krippendorff/))[2]).toBe('1 (1 to 1)');
  expect(await row(ada!, /^Bo/)).toEqual(['Bo Lindqvist', '2 of 2', '2']);
  expect((await row(ada!, /knee film/)).slice(3, 5)).toEqual(['-0.33', '1']);
  await page
    .getByRole('row', { name: /knee film/ })
    .getByText('moved most')
    .waitFor();
  await cy!.page.goto(address);
  await cy!.page.getByText('After the talk: the panel agrees reliably.').waitFor();
});

test('the pages hold in light and dark, and on a phone', async () => {
  const { page } = ada!;
  for (const [name, path] of [
    ['norming', `/projects/${project}/norming`],
    ['norming-session', address]
  ] as const) {
    await page.goto(path);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await expectToHold(page, `pages/${name}`);
  }
  expect([...ada!.complaints, ...bo!.complaints, ...cy!.complaints]).toEqual([]);
});
