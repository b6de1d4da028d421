import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Member } from '#wire/project.ts';
import type { Task } from '#wire/task.ts';
import { openPanel, type Panel } from './panel.ts';
import { barriers, callAs, overhang, picture, settled, type Person } from './people.ts';

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

test('the pages hold in light and dark, and on a phone', async () => {
  const { page } = ada!;
  for (const path of ['members', 'tasks']) {
    await page.goto(`/projects/${project}/${path}`);
    await page.getByRole('heading', { level: 1 }).waitFor();
    for (const scheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: scheme });
      for (const [width, height] of [
        [1440, 900],
        [390, 844]
      ] as const) {
        await page.setViewportSize({ width, height });
        await settled(page);
        expect(await barriers(page), `${path} ${scheme} ${width}`).toEqual([]);
        expect(await overhang(page), `${path} ${scheme} ${width}`).toBeLessThanOrEqual(0);
        await picture(page, `assigning/${path}-${scheme}-${width}`);
      }
    }
  }
  expect([...ada!.complaints, ...bo!.complaints, ...cy!.complaints]).toEqual([]);
});
