import { afterAll, beforeAll, expect, test } from 'vitest';
import { open, openDesk, submitOn, tap, taskOf, type Desk } from './desk.ts';
import { barriers, expectToHold, overhang, picture, press, saved } from './people.ts';

let desk: Desk;

beforeAll(async () => {
  desk = await openDesk();
});

afterAll(() => desk?.close());

test('an owner rewrites the guidelines; who judged before sees on their next task that they changed, and what', async () => {
  const bo = desk.bo.page;
  const task = await taskOf(desk.bo, desk.demo, 1);
  await open(desk.bo, task);
  await tap(bo, 'A', 1);
  await submitOn(bo, task);

  const ada = desk.ada.page;
  await ada.goto(`/projects/${desk.demo}`);
  await ada.getByRole('link', { name: 'Settings' }).click();
  const field = ada.getByLabel('Guidelines', { exact: true });
  const save = ada.getByRole('button', { name: 'Save changes' });
  expect(await save.isDisabled()).toBe(true);
  const text = await field.inputValue();
  await field.fill(`${text}\n\nName the side.`);
  await save.click();
  await ada.getByText('The changes are saved.').waitFor();
  await ada.reload();
  expect(await field.inputValue()).toBe(`${text}\n\nName the side.`);
  await bo.reload();
  await saved(bo);
  await bo.getByRole('button', { name: /^Guidelines · changed/ }).waitFor();
  await press(bo, 'g');
  const dialog = bo.getByRole('dialog');
  await dialog.getByRole('heading', { name: 'Changed since your last task' }).waitFor();
  expect((await dialog.locator('ins').allInnerTexts()).map((text) => text.trim())).toEqual([
    'Name the side.'
  ]);
  expect(await barriers(bo)).toEqual([]);
  await picture(bo, 'pages/guidelines-changed-light-1440');
  await press(bo, 'Escape');
  const next = await taskOf(desk.bo, desk.demo, 2);
  await open(desk.bo, next);
  await tap(bo, 'A', 1);
  await submitOn(bo, next);
  await bo.reload();
  await saved(bo);
  expect(await bo.getByText('· changed').count()).toBe(0);
});

test('an owner lets the most uncertain tasks come first, with a share at random', async () => {
  const ada = desk.ada.page;
  await ada.setViewportSize({ width: 1440, height: 900 });
  await ada.goto(`/projects/${desk.demo}/settings`);
  const uncertain = ada.getByRole('checkbox', { name: 'Hand out the most uncertain tasks first' });
  const share = ada.getByLabel('Drawn at random all the same, in percent');
  expect(await uncertain.isChecked()).toBe(false);
  expect(await share.count()).toBe(0);
  await uncertain.check();
  expect(await share.inputValue()).toBe('20');
  await share.fill('35');
  await expectToHold(ada, 'pages/settings-order', () => share.scrollIntoViewIfNeeded());
  await ada.setViewportSize({ width: 1440, height: 900 });
  await ada.getByRole('button', { name: 'Save changes' }).click();
  await ada.getByText('The changes are saved.').waitFor();
  await ada.reload();
  expect(await uncertain.isChecked()).toBe(true);
  expect(await share.inputValue()).toBe('35');
  await share.fill('101');
  await ada.getByRole('button', { name: 'Save changes' }).click();
  expect(await share.evaluate((field: HTMLInputElement) => field.validity.rangeOverflow)).toBe(true);
  await uncertain.uncheck();
  await ada.getByRole('button', { name: 'Save changes' }).click();
  await ada.getByText('The changes are saved.').waitFor();
  await ada.reload();
  expect(await uncertain.isChecked()).toBe(false);
});

test('an owner raises the overlap; lowering it below the rankings that there are is refused at its field', async () => {
  const ada = desk.ada.page;
  const overlap = ada.getByLabel('Rankings per task');
  const before = await overlap.inputValue();
  await overlap.fill('1');
  await ada.getByRole('button', { name: 'Save changes' }).click();
  await ada.getByRole('alert').getByText('The lowest that reveals none is 2.').waitFor();
  expect(await overlap.getAttribute('aria-invalid')).toBe('true');
  expect(desk.ada.complaints.splice(0)).toEqual([expect.stringContaining('409')]);
  expect(await barriers(ada)).toEqual([]);
  await picture(ada, 'pages/settings-overlap-light-1440');
  await overlap.fill(String(Number(before) + 1));
  await ada.getByRole('button', { name: 'Save changes' }).click();
  await ada.getByText('The changes are saved.').waitFor();
  expect(await ada.getByRole('alert').count()).toBe(0);
  await ada.reload();
  expect(await overlap.inputValue()).toBe(String(Number(before) + 1));
});

test('a new project starts with the order that its maker chose', async () => {
  const ada = desk.ada.page;
  await ada.goto('/projects/new');
  await ada.getByLabel('Name', { exact: true }).fill('Uncertain first');
  await ada.getByRole('checkbox', { name: 'Hand out the most uncertain tasks first' }).check();
  await ada.getByLabel('Drawn at random all the same, in percent').fill('10');
  expect(await barriers(ada)).toEqual([]);
  expect(await overhang(ada)).toBeLessThanOrEqual(0);
  await ada.getByRole('button', { name: 'Create the project' }).click();
  await ada.getByRole('heading', { name: 'Uncertain first' }).waitFor();
  await ada.goto(`${ada.url()}/settings`);
  expect(await ada.getByLabel('Drawn at random all the same, in percent').inputValue()).toBe('10');
});

test('who is no owner is told whom to ask', async () => {
  const { page } = desk.bo;
  await page.goto(`/projects/${desk.demo}/settings`);
  await page.getByText('Ask an owner of this project.').waitFor();
  expect(await barriers(page)).toEqual([]);
  expect([...desk.ada.complaints, ...desk.bo.complaints]).toEqual([]);
});
