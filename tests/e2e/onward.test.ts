import { afterAll, beforeAll, expect, test } from 'vitest';
import { open, openDesk, passOn, rankingsOf, submitOn, taskOf, type Desk } from './desk.ts';
import { press, rows, saved, type Person } from './people.ts';

let desk: Desk;
let ada: Person;
let demo = '';

beforeAll(async () => {
  desk = await openDesk();
  ({ ada, demo } = desk);
});

afterAll(() => desk?.close());

test('a submission is taken back from the next task, and stands as it was left', async () => {
  const task = await taskOf(ada, demo, 6);
  const page = await open(ada, task);
  await press(page, '2', '1');
  const left = await rows(page);
  await submitOn(page, task);
  expect(await rankingsOf(ada, task)).toMatchObject([{ verdict: 'ranked', version: 1 }]);
  await page.getByRole('button', { name: 'Undo', exact: true }).last().click();
  await page.waitForURL(`**/${task.id}`);
  await page.getByText('Task 6 is taken back; it is as you left it.').waitFor();
  await saved(page);
  expect(await rows(page)).toEqual(left);
  expect((await rankingsOf(ada, task)).at(-1)).toMatchObject({ verdict: 'withdrawn', undoes: 1 });
  await submitOn(page, task);
  expect((await rankingsOf(ada, task)).at(-1)).toMatchObject({ verdict: 'ranked', version: 3 });
});

test('who takes a submission back while the next task is looked for is not led in a circle', async () => {
  const task = await taskOf(ada, demo, 9);
  const page = await open(ada, task);
  await press(page, '2', '1');
  await page.waitForTimeout(1_000);
  let letGo = () => {};
  const held = new Promise<void>((resolve) => (letGo = resolve));
  // The server gets the question only after the undo: its answer is the task that is on screen again by then.
  await page.route('**/tasks/next?after=*', async (route) => {
    await held;
    await route.continue();
  });
  await submitOn(page, task);
  await page.waitForTimeout(500);
  await page.getByRole('button', { name: 'Undo', exact: true }).last().click();
  await page.waitForURL(`**/${task.id}`);
  await saved(page);
  const answered = page.waitForResponse('**/tasks/next?after=*');
  letGo();
  await answered;
  await page.unroute('**/tasks/next?after=*');
  await page.waitForTimeout(300);
  await submitOn(page, task);
});

test('who does not want to be carried on stays with the submitted task, and goes on by N', async () => {
  const task = await taskOf(ada, demo, 7);
  const page = await open(ada, task);
  await press(page, 'a');
  await page.getByText('A submitted task stays on screen').waitFor();
  await press(page, '1', '2', 'Control+Enter');
  await page.getByText('Task 7 is submitted.').waitFor();
  await page.getByRole('button', { name: 'Submit again' }).waitFor();
  expect(page.url()).toContain(task.id);
  expect(await rankingsOf(ada, task)).toMatchObject([{ version: 1 }]);
  await passOn(page, () => press(page, 'n'));
  await press(page, 'a');
  await page.getByText('The next task comes as soon as').waitFor();
});

test('a submission that is refused while the next task is on screen says so, and leads back to what was done', async () => {
  const task = await taskOf(ada, demo, 8);
  const page = await open(ada, task);
  await press(page, '2', '1');
  await saved(page);
  const left = await rows(page);
  // The next task has to be there for the page not to wait.
  await page.waitForTimeout(1_000);
  await page.route(`**/tasks/${task.id}/ranking`, (route) => route.fulfill({ status: 500, body: '{}' }));
  await passOn(page, () => press(page, 'Control+Enter'));
  await page.getByText('Task 8 is not submitted.').waitFor();
  await page.unroute(`**/tasks/${task.id}/ranking`);
  await page.getByRole('button', { name: 'Go back to it' }).click();
  await page.waitForURL(`**/${task.id}`);
  await saved(page);
  expect(await rows(page)).toEqual(left);
  expect(await rankingsOf(ada, task)).toEqual([]);
  await submitOn(page, task);
});

test('a submission that the network lost while the next task is on screen is kept, and sent later', async () => {
  const task = await taskOf(ada, demo, 12);
  const page = await open(ada, task);
  await press(page, '2', '1');
  await saved(page);
  await page.waitForTimeout(1_000);
  await page.route(`**/tasks/${task.id}/ranking`, (route) => route.abort());
  await passOn(page, () => press(page, 'Control+Enter'));
  await page.getByText('Task 12 is kept on this device').waitFor();
  await page.unroute(`**/tasks/${task.id}/ranking`);
  await page.getByText('1 judgement that was kept on this device has been submitted.').waitFor();
  expect((await rankingsOf(ada, task)).map(({ version }) => version)).toEqual([1]);
});
