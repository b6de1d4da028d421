import { afterAll, beforeAll, expect, test } from 'vitest';
import { open, openDesk, submitOn, tap, taskOf, type Desk } from './desk.ts';
import { callAs, expectToHold, saved } from './people.ts';

let desk: Desk;

beforeAll(async () => {
  desk = await openDesk();
});

afterAll(() => desk?.close());

test('a goal of one’s own stands beside the task, and a submission and its undo count at once', async () => {
  const { page } = desk.bo;
  await page.goto(`/projects/${desk.demo}`);
  await page.getByLabel('Your goal for a day').fill('3');
  await page.getByRole('button', { name: 'Set the goal' }).click();
  await page.getByText('Today 0 of 3').waitFor();
  const [first, second] = [await taskOf(desk.bo, desk.demo, 1), await taskOf(desk.bo, desk.demo, 2)];
  await open(desk.bo, first);
  await page.getByText('today 0 of 3').waitFor();
  await tap(page, 'A', 1);
  await submitOn(page, first);
  await page.getByText('today 1 of 3').waitFor();
  await saved(page);
  await tap(page, 'B', 1);
  await submitOn(page, second);
  await page.getByText('today 2 of 3').waitFor();
  await page.getByRole('button', { name: 'Undo' }).last().click();
  await page.getByText('today 1 of 3').waitFor();
});

test('what one judges moves the progress of the team on the page of another, who reloads nothing', async () => {
  const ada = desk.ada.page;
  await ada.goto(`/projects/${desk.demo}`);
  const before = await ada.getByText(/^\d+ of \d+ rankings$/).innerText();
  await ada.getByText(/a day in the last week/).waitFor();
  const [, ranked, wanted] = /(\d+) of (\d+)/.exec(before)!;
  const task = await taskOf(desk.bo, desk.demo, 3);
  await open(desk.bo, task);
  await tap(desk.bo.page, 'A', 1);
  await submitOn(desk.bo.page, task);
  await ada.getByText(`${Number(ranked) + 1} of ${wanted} rankings`).waitFor({ timeout: 5_000 });
});

test('the day by which all rankings are wanted says how many a day that takes', async () => {
  const ada = desk.ada.page;
  await ada.goto(`/projects/${desk.demo}/settings`);
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
  await ada.getByLabel('All rankings by').fill(tomorrow);
  await ada.getByRole('button', { name: 'Save changes' }).click();
  await ada.getByText('The changes are saved.').waitFor();
  await ada.getByRole('link', { name: 'Overview' }).first().click();
  await ada.getByText(/^Wanted by .*: \d+ a day are needed\.$/).waitFor();
  await callAs(desk.ada, 'PATCH', `/projects/${desk.demo}`, { review: { due_on: '2026-01-31' } });
  await ada.reload();
  await ada.getByText(/^Was wanted by .*; \d+ are missing\.$/).waitFor();
});

test('progress holds', async () => {
  const { page } = desk.bo;
  await page.goto(`/projects/${desk.demo}`);
  await page.getByText('Today 2 of 3').waitFor();
  await page.getByRole('heading', { name: 'Progress' }).scrollIntoViewIfNeeded();
  await expectToHold(page, 'pages/progress');
  expect([...desk.ada.complaints, ...desk.bo.complaints]).toEqual([]);
});
