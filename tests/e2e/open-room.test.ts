import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Task } from '#wire/task.ts';
import { carry, chip } from './cards.ts';
import { invite, open, openDesk, taskOf, type Desk } from './desk.ts';
import { person, picture, press, rows, saved, settled, type Person } from './people.ts';

/*
 * Three people, three browsers' worth of windows, one open room.
 */
let desk: Desk;
let cy: Person;
let task: Task;

beforeAll(async () => {
  desk = await openDesk();
  cy = await person(desk.browser, desk.origin, 'Cy Ferrer');
  await invite(desk.ada, desk.demo, cy, 'reviewer');
  task = await taskOf(desk.ada, desk.demo, 4);
});

afterAll(() => desk?.close());

const everyone = () => [desk.ada, desk.bo, cy].map(({ page }) => page);

test('who comes, what they look at and that they leave is on the others’ pages within a second', async () => {
  const [a, b] = [await open(desk.ada, task), await open(desk.bo, task)];
  const here = b.getByRole('list', { name: 'On this task now' });
  await here.getByText('Ada Osei').waitFor();
  const c = await open(cy, task);
  await here.getByText('Cy Ferrer').waitFor({ timeout: 1_000 });
  for (const page of [a, b, c]) await press(page, 't');
  await press(a, 'ArrowRight', 'ArrowRight');
  const looks = b
    .getByRole('article', { name: 'Output C' })
    .getByRole('list', { name: 'At output C now' })
    .getByText('Ada Osei');
  await looks.waitFor({ timeout: 1_000 });
  await press(a, 'ArrowLeft');
  await looks.waitFor({ state: 'detached', timeout: 1_000 });
  await picture(b, 'pages/open-room-light-1440');
  await c.goto('/account');
  await here.getByText('Cy Ferrer').waitFor({ state: 'detached', timeout: 1_000 });
  await open(cy, task);
  await press(c, 't');
});

test('two people drag one card: it ends in one place, whole, and the same on every page', async () => {
  const [a, b, c] = everyone() as [Page, Page, Page];
  await press(a, 'ArrowLeft', 'ArrowLeft', 'ArrowLeft');
  for (const [at, key] of ['1', '2', '3', '4'].entries()) {
    await press(a, key);
    await expect.poll(async () => (await rows(c)).flat().length).toBe(at + 1);
  }
  const letGo = [await carry(a, 'D', { row: 0 }), await carry(b, 'D', { row: 2 })];
  await chip(c, 'D')
    .and(c.getByTitle(/moves this/))
    .waitFor();
  await Promise.all(letGo.map((one) => one()));
  for (const page of [a, b]) await saved(page);
  const end = await rows(a);
  for (const page of [b, c]) await expect.poll(() => rows(page)).toEqual(end);
  expect(end.flat().sort()).toEqual(['A', 'B', 'C', 'D']);
  const withD = end.find((row) => row.includes('D'))!;
  expect([
    ['A', 'D'],
    ['C', 'D']
  ]).toContainEqual(withD);
});

test('three move different cards at once: every move counts, once', async () => {
  const pages = everyone();
  const [a, b, c] = pages as [Page, Page, Page];
  for (const [page, letter] of [
    [a, 'A'],
    [b, 'B'],
    [c, 'C']
  ] as const)
    await chip(page, letter).click();
  for (const page of pages) await page.getByRole('heading', { level: 1 }).click();
  await Promise.all([press(a, '4'), press(b, '4'), press(c, '4')]);
  for (const page of pages) {
    await saved(page);
    await expect
      .poll(async () => (await rows(page)).filter((row) => row.length).map((row) => row.sort()))
      .toContainEqual(expect.arrayContaining(['A', 'B', 'C']));
  }
  expect((await rows(a)).flat().sort()).toEqual(['A', 'B', 'C', 'D']);
});

test('what others move slides to where it goes, unless motion is not wanted', async () => {
  const [a, b] = everyone() as [Page, Page];
  const sliding = () =>
    b.evaluate(() => {
      const seen = new Set<string>();
      const animate = Element.prototype.animate;
      Element.prototype.animate = function (this: HTMLElement, ...given) {
        if (this.dataset.chip) seen.add(this.textContent!.trim()[0]!);
        return animate.apply(this, given);
      };
      Object.assign(window, { seen });
    });
  const seen = () => b.evaluate(() => [...(window as never as { seen: Set<string> }).seen]);
  await b.emulateMedia({ reducedMotion: 'no-preference' });
  await sliding();
  await chip(a, 'D').click();
  await press(a, '2');
  await expect.poll(seen).toContain('D');
  await b.emulateMedia({ reducedMotion: 'reduce' });
  await b.evaluate(() => (window as never as { seen: Set<string> }).seen.clear());
  const before = await rows(b);
  await press(a, '1');
  await expect.poll(() => rows(b)).not.toEqual(before);
  await settled(b);
  expect(await seen()).toEqual([]);
  for (const { complaints } of [desk.ada, desk.bo, cy]) expect(complaints).toEqual([]);
});
