import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Task } from '#wire/task.ts';
import { invite, onDevice, open, openDesk, rankingsOf, taskOf, type Desk } from './desk.ts';
import { barriers, callAs, person, picture, press, rows, saved } from './people.ts';

/*
 * A ward without a network. The server is killed and the browser cut off, so that neither answers.
 */
let desk: Desk;

beforeAll(async () => {
  desk = await openDesk();
});

afterAll(() => desk?.close());

const cut = async () => {
  for (const { context } of [desk.ada, desk.bo]) await context.setOffline(true);
  await desk.server.kill();
};
const mend = async () => {
  await desk.server.start();
  for (const { context } of [desk.ada, desk.bo]) await context.setOffline(false);
};

/** Ranks four outputs, A first; what stood there before is overwritten. */
async function rank(page: Page): Promise<void> {
  await press(page, '1', '2', '3', '4');
  await expect.poll(() => rows(page)).toEqual([['A'], ['B'], ['C'], ['D']]);
}

const taskOnScreen = async (page: Page) => (await page.getByRole('heading', { level: 1 }).innerText()).trim();

test('tasks are taken along: they lie on the device, and nobody else is handed them', async () => {
  const { page } = desk.bo;
  await open(desk.bo, await taskOf(desk.ada, desk.demo, 1));
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => null));
  await page.getByRole('button', { name: 'Take along' }).click();
  const dialog = page.getByRole('dialog');
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole('group', { name: 'How many tasks' }).getByRole('button', { name: '10' }).click();
  await dialog.getByRole('button', { name: 'Take along' }).click();
  await dialog.getByText('10 tasks of this project lie on this device.').waitFor();
  await picture(page, 'pages/take-along-light-1440');
  await press(page, 'Escape');
  await page.getByRole('button', { name: '10 tasks here' }).waitFor();
  expect(await onDevice(page)).toMatchObject({ along: 10 });
});

test('an afternoon offline: pages open, judgements are kept over reloads, and all arrive when the network is back', async () => {
  const { page, context } = desk.bo;
  await cut();
  await saved(page, 'offline');
  // What is open goes on.
  await rank(page);
  await page.keyboard.press('Control+Enter');
  await page.getByText('Task 1 is kept on this device').waitFor();
  await expect.poll(() => taskOnScreen(page)).toBe('Task 2');

  // A reload in the middle: the page comes from the device, and with it what was done.
  await saved(page, 'offline');
  await press(page, '2', '1');
  await page.getByLabel('Comment').fill('B names the side; A does not.');
  // It says so only once it lies there.
  await saved(page, 'offline');
  await page.reload();
  await saved(page, 'offline');
  expect(await rows(page)).toEqual([['B'], ['A'], [], []]);
  expect(await page.getByLabel('Comment').inputValue()).toBe('B names the side; A does not.');
  await page.getByRole('button', { name: '1 to send' }).waitFor();
  await picture(page, 'pages/offline-light-1440');
  await page.keyboard.press('Control+Enter');
  await expect.poll(() => taskOnScreen(page)).toBe('Task 3');

  // Skipping, and taking back what waits.
  await saved(page, 'offline');
  await page.keyboard.press('s');
  await page.getByText('Task 3 is skipped').waitFor();
  await expect.poll(() => taskOnScreen(page)).toBe('Task 4');
  await saved(page, 'offline');
  await rank(page);
  await page.keyboard.press('Control+Enter');
  await expect.poll(() => taskOnScreen(page)).toBe('Task 5');
  await page.keyboard.press('Control+z');
  await expect.poll(() => taskOnScreen(page)).toBe('Task 4');
  await saved(page, 'offline');
  expect(await page.getByText('Your judgement of this task lies on this device').count()).toBe(0);

  // The device is switched off, and on again.
  await page.close();
  desk.bo.page = await context.newPage();
  const again = desk.bo.page;
  await again.goto(`/projects/${desk.demo}/review`);
  await again.waitForURL('**/review/task_*');
  expect(await taskOnScreen(again)).toBe('Task 4');
  await saved(again, 'offline');
  expect(await rows(again)).toEqual([['A'], ['B'], ['C'], ['D']]);
  for (const next of ['Task 5', 'Task 6', 'Task 7', 'Task 8', 'Task 9', 'Task 10']) {
    await again.keyboard.press('Control+Enter');
    await expect.poll(() => taskOnScreen(again)).toBe(next);
    await saved(again, 'offline');
    await rank(again);
  }
  await again.keyboard.press('Control+Enter');
  await again.getByText('Task 10 is kept on this device').waitFor();
  await again.goto(`/projects/${desk.demo}/review`);
  await again.getByText('There is no connection, and nothing is left here').waitFor();
  await again.getByText('10 judgements are kept on this device').waitFor();
  await picture(again, 'pages/offline-done-light-1440');

  await mend();
  await again.getByText(/judgements? that (was|were) kept on this device/).waitFor();
  await expect
    .poll(() => onDevice(again), { timeout: 60_000 })
    .toMatchObject({ along: 0, answers: 0, outbox: 0, edits: 0 });
  for (let number = 1; number <= 10; number++) {
    const task = await taskOf(desk.bo, desk.demo, number);
    const mine = (await rankingsOf(desk.bo, task)).filter(({ rater }) => rater.name === desk.bo.name);
    expect(
      mine.map(({ version }) => version),
      `task ${number}`
    ).toEqual(number === 3 ? [] : [1]);
    if (number === 2) expect(mine[0]!.comment).toBe('B names the side; A does not.');
  }
});

test('what the server does not take stays on the device and says why', async () => {
  // Far from those that Bo was handed, or that his page got ready: who was handed a task may submit it when it is full.
  const task: Task = await taskOf(desk.ada, desk.demo, 30);
  const cy = await person(desk.browser, desk.origin, 'Cy Ferrer');
  await invite(desk.ada, desk.demo, cy, 'reviewer');
  const page = await open(desk.bo, task);
  await desk.bo.context.setOffline(true);
  await desk.server.kill();
  await saved(page, 'offline');
  await rank(page);
  await page.keyboard.press('Control+Enter');
  await page.getByText('Task 30 is kept on this device').waitFor();
  await desk.server.start();
  // Bo came by a link and was never handed it: meanwhile it got all the rankings it needs.
  const ranking = { tiers: [[task.outputs[0]!.id]] };
  for (const who of [desk.ada, cy])
    expect((await callAs(who, 'PUT', `/tasks/${task.id}/ranking`, ranking)).status).toBe(200);
  // The first time it is sent the line is up and carries nothing.
  let sent = 0;
  await page.route('**/ranking', (route) => (++sent > 1 ? route.continue() : undefined));
  await desk.bo.context.setOffline(false);
  await page.getByRole('button', { name: '1 to send' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('This task has its 2 rankings').waitFor();
  expect(sent).toBe(2);
  await page.unrouteAll();
  expect(await barriers(page)).toEqual([]);
  await picture(page, 'pages/not-taken-light-1440');
  await dialog.getByRole('link', { name: 'Task 30' }).click();
  await page.getByText('the server did not take it: This task has its').waitFor();
  expect(await rows(page)).toEqual([['A'], ['B'], ['C'], ['D']]);
  await page.getByRole('button', { name: 'Take it back' }).click();
  await expect.poll(() => onDevice(page)).toMatchObject({ outbox: 0 });
});

test('two people, 200 edits each without a connection: nothing is lost, and both end with the same', async () => {
  const task = await taskOf(desk.ada, desk.demo, 20);
  const [a, b] = [await open(desk.ada, task), await open(desk.bo, task)];
  for (const page of [a, b]) await press(page, 't');
  await cut();
  for (const page of [a, b]) await saved(page, 'offline');
  const words = async (page: Page, name: string) => {
    const note = page.getByLabel('Notes');
    await note.focus();
    for (let edit = 0; edit < 100; edit++) await page.keyboard.type(`${name}${edit} `);
    await page.getByRole('heading', { level: 1 }).click();
    for (let edit = 0; edit < 100; edit++)
      await press(page, String(1 + (edit % 4)), edit % 3 ? 'ArrowRight' : 'ArrowLeft');
    return Array.from({ length: 100 }, (_, edit) => `${name}${edit} `);
  };
  const [ofAda, ofBo] = await Promise.all([words(a, 'a'), words(b, 'b')]);
  for (const page of [a, b]) await saved(page, 'offline');
  await b.close();
  await mend();
  desk.bo.page = await desk.bo.context.newPage();
  await open(desk.bo, task);
  await press(desk.bo.page, 't');
  await saved(a);
  const notes = (page: Page) => page.getByLabel('Notes').inputValue();
  await expect.poll(() => notes(desk.bo.page)).toBe(await notes(a));
  const text = await notes(a);
  // Each person's words stand whole and in their order; nobody's were torn by the other's.
  expect(text).toContain(ofAda.join('').trimEnd());
  expect(text).toContain(ofBo.join('').trimEnd());
  await expect.poll(() => rows(desk.bo.page)).toEqual(await rows(a));
  expect([...desk.ada.complaints, ...desk.bo.complaints]).toEqual([]);
});
