import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Member } from '#wire/project.ts';
import type { Task } from '#wire/task.ts';
import { openPanel, type Panel } from './panel.ts';
import { barriers, callAs, expectToHold, type Person } from './people.ts';

/* Who is handed what: a project of Ada's with Bo and Cy; each test goes on where the one before ended. */
let panel: Panel;
let [ada, bo, cy]: Person[] = [];
let project = '';

beforeAll(async () => {
  const rows = Array.from({ length: 8 }, (_, n) => ({
    ...{ prompt: `Report film ${n + 1}.`, outputs: ['A nodule. CT advised.', 'No lesion.'] },
    ...(n % 2 ? { specialty: 'Thorax' } : {})
  }));
  panel = await openPanel({ name: 'Films', overlap: 1, criteria: [] }, rows);
  [ada, bo, cy] = panel.people;
  ({ project } = panel);
});

afterAll(() => panel?.close());

/** The numbers of all that somebody would be handed, one after the other, none of it judged. */
async function handed(who: Person): Promise<number[]> {
  const { body } = await callAs<{ items: Task[] }>(who, 'POST', `/projects/${project}/tasks/along`, {
    count: 50
  });
  const ids = body.items.map(({ id }) => id);
  if (ids.length) await callAs(who, 'DELETE', `/projects/${project}/tasks/along`, { tasks: ids });
  return body.items.map(({ number }) => number).toSorted((a, b) => a - b);
}

test('the owner gives Bo a specialty: rows that carry it come to him, and never to Cy', async () => {
  const { page } = ada!;
  expect(await handed(bo!)).toEqual([1, 3, 5, 7]);
  await page.goto(`/projects/${project}/members`);
  await page.getByRole('button', { name: 'Change Bo Lindqvist' }).click();
  const dialog = page.getByRole('dialog', { name: 'Bo Lindqvist' });
  await dialog.getByLabel('Specialties').fill('Thorax');
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Bo Lindqvist is changed.').waitFor();
  await page
    .getByRole('row', { name: /^Bo Lindqvist/ })
    .getByRole('cell', { name: 'thorax' })
    .waitFor();
  expect(await handed(bo!)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(await handed(cy!)).toEqual([1, 3, 5, 7]);

  // What the first gave is offered for the second.
  await page.getByRole('button', { name: 'Change Ada Osei' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Add thorax' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click();
  await page.getByText('Ada Osei is changed.').waitFor();
  const { body } = await callAs<{ items: Member[] }>(bo!, 'GET', `/projects/${project}/members`);
  expect(body.items.map(({ specialties }) => specialties)).toEqual([['thorax'], ['thorax'], []]);
  await bo!.page.goto(`/projects/${project}/members`);
  await bo!.page.getByRole('row', { name: /^Bo Lindqvist/ }).waitFor();
  expect(await bo!.page.getByRole('button', { name: /^Change/ }).count()).toBe(0);
});

const box = ({ page }: Person, number: number) =>
  page.getByRole('checkbox', { name: `Select task ${number}`, exact: true });
const rowOf = ({ page }: Person, number: number) =>
  page.getByRole('row', { name: new RegExp(`Report film ${number}\\.`) });

test('the owner gives tasks to Cy by name: they come to Cy first and to nobody else; it can be taken back', async () => {
  const { page } = ada!;
  await page.goto(`/projects/${project}/tasks`);
  await box(ada!, 7).check();
  await box(ada!, 8).click({ modifiers: ['Shift'] });
  await page.getByText('2 selected').waitFor();
  await page.getByRole('button', { name: 'Give to people…' }).click();
  const dialog = page.getByRole('dialog', { name: 'Give to people…' });
  await dialog.getByLabel('Cy Ferrer').check();
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Give' }).click();
  await page.getByText('2 tasks are given.').waitFor();
  for (const number of [7, 8]) await rowOf(ada!, number).getByText('Cy Ferrer').waitFor();
  const first = await callAs<Task>(cy!, 'POST', `/projects/${project}/tasks/next`);
  expect(first.body.number).toBe(7);
  await callAs(cy!, 'DELETE', `/tasks/${first.body.id}/lease`);
  expect(await handed(cy!)).toEqual([1, 3, 5, 7, 8]);
  expect(await handed(bo!)).toEqual([1, 2, 3, 4, 5, 6]);
  await bo!.page.goto(`/projects/${project}/tasks`);
  await rowOf(bo!, 7).getByText('others').waitFor();
  expect(await box(bo!, 7).count()).toBe(0);
  await cy!.page.goto(`/projects/${project}/tasks`);
  await rowOf(cy!, 7).getByText('Cy Ferrer').waitFor();

  await page.getByRole('button', { name: 'Undo' }).click();
  await rowOf(ada!, 8).getByText('thorax').waitFor();
  await rowOf(ada!, 7).getByText('everybody').waitFor();
  expect(await handed(cy!)).toEqual([1, 3, 5, 7]);
});

test('by keys, by numbers and to a specialty; what cannot be given is named', async () => {
  const { page } = ada!;
  await page.goto(`/projects/${project}/tasks`);
  await box(ada!, 1).focus();
  await page.keyboard.press('Shift+ArrowDown');
  await page.keyboard.press('Shift+ArrowDown');
  await page.getByText('3 selected').waitFor();
  await page.getByRole('button', { name: 'Give to a specialty…' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Specialty').fill('neuro');
  await dialog.getByRole('button', { name: 'Give' }).click();
  await page.getByText('3 tasks are given.').waitFor();
  expect(await handed(cy!)).toEqual([5, 7]);

  const { body } = await callAs<Task>(cy!, 'POST', `/projects/${project}/tasks/next`);
  const tiers = [body.outputs.map(({ id }) => id)];
  await callAs(cy!, 'PUT', `/tasks/${body.id}/ranking`, { tiers });
  await page.getByLabel('Or by number').fill('1-8');
  await page.getByRole('button', { name: 'Give to everybody' }).click();
  await page.getByText('7 tasks are given.').waitFor();
  await page.getByText('Task 5 is revealed already.').waitFor();
  expect(await handed(cy!)).toEqual([1, 2, 3, 4, 6, 7, 8]);
  await page.getByLabel('Or by number').fill('3-4');
  await page.getByRole('button', { name: 'Give to people…' }).click();
  await dialog.getByLabel('Cy Ferrer').check();
  await dialog.getByLabel('Bo Lindqvist').check();
  await dialog.getByRole('button', { name: 'Give' }).click();
  await page.getByText('2 tasks are given.').waitFor();
  await page.getByRole('search').getByLabel('Given to').selectOption('Cy Ferrer');
  await expect.poll(() => page.getByRole('checkbox', { name: /^Select task/ }).count()).toBe(2);
});

test('the pages hold in light and dark, and on a phone', async () => {
  const { page } = ada!;
  for (const path of ['members', 'tasks']) {
    await page.goto(`/projects/${project}/${path}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    await expectToHold(page, `pages/assigned-${path}`);
  }
  expect([...ada!.complaints, ...bo!.complaints, ...cy!.complaints]).toEqual([]);
});
