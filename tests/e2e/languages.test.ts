import { afterAll, beforeAll, expect, test } from 'vitest';
import { openDesk, taskOf, type Desk } from './desk.ts';
import { barriers, overhang, picture, press, rows, saved, settled, type Person } from './people.ts';

let desk: Desk;
let ada: Person;

beforeAll(async () => {
  desk = await openDesk();
  ({ ada } = desk);
});

afterAll(() => desk?.close());

const named = { de: 'Deutsch', es: 'Español', ar: 'العربية' };

test('a first visit is in the language that the browser asks for, and the choice made there stays', async () => {
  const context = await desk.browser.newContext({ baseURL: desk.origin, locale: 'es-MX' });
  const page = await context.newPage();
  await page.goto('/sign-in');
  await page.getByRole('heading', { name: 'Iniciar sesión' }).waitFor();
  await page.getByLabel('Idioma').selectOption({ label: 'Deutsch' });
  await page.getByRole('heading', { name: 'Anmelden' }).waitFor();
  expect(await page.locator('html').getAttribute('lang')).toBe('de');
  await page.goto('/sign-in');
  await page.getByRole('heading', { name: 'Anmelden' }).waitFor();
  await context.close();
});

test.each(['de', 'es', 'ar'] as const)(
  'the studio holds in %s, on a screen and on a phone',
  async (locale) => {
    const { page } = ada;
    await ada.context.addCookies([{ name: 'PARAGLIDE_LOCALE', value: locale, url: desk.origin }]);
    const task = await taskOf(ada, desk.demo, 13);
    const project = `/projects/${desk.demo}`;
    for (const [name, path] of [
      ['overview', project],
      ['tasks', `${project}/tasks`],
      ['members', `${project}/members`],
      ['new', '/projects/new'],
      ['review', `${project}/review/${task.id}`]
    ] as const) {
      await page.goto(path);
      await page.locator('h1').first().waitFor();
      expect(await page.locator('html').getAttribute('lang')).toBe(locale);
      expect(await page.locator('html').getAttribute('dir')).toBe(locale === 'ar' ? 'rtl' : 'ltr');
      for (const width of [1440, 390]) {
        await page.setViewportSize({ width, height: 900 });
        expect(await overhang(page), `${name} at ${width}`).toBeLessThanOrEqual(0);
        expect(await barriers(page), `${name} at ${width}`).toEqual([]);
        if (name === 'review') await picture(page, `pages/review-${locale}-${width}`);
      }
      await page.setViewportSize({ width: 1440, height: 900 });
    }
    expect(await page.locator('select').inputValue()).toBe(locale);
    expect(await page.locator('select option:checked').textContent()).toBe(named[locale]);
  }
);

test('in a language that is read from the right the first output is on the right, and the arrow to the left goes on', async () => {
  const { page } = ada;
  await ada.context.addCookies([{ name: 'PARAGLIDE_LOCALE', value: 'ar', url: desk.origin }]);
  const task = await taskOf(ada, desk.demo, 14);
  await page.goto(`/projects/${desk.demo}/review/${task.id}`);
  await saved(page);
  await settled(page);
  const cards = page.locator('[data-output]');
  const [first, second] = [await cards.nth(0).boundingBox(), await cards.nth(1).boundingBox()];
  expect(first!.x).toBeGreaterThan(second!.x);
  await press(page, '1', 'ArrowLeft', '1');
  await press(page, 'ArrowRight', 'ArrowRight', 'ArrowRight', '3');
  // Placing goes on to B, the arrow to C, and placing that to D; three to the right is A again.
  expect(await rows(page)).toEqual([['C'], [], ['A'], []]);
  // Outputs in English stay as they are written.
  const text = cards.nth(0).locator('.text');
  expect(await text.evaluate((element) => getComputedStyle(element).direction)).toBe('ltr');
  expect(ada.complaints).toEqual([]);
});
