import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { expect } from 'vitest';
import { chromium, type Browser, type BrowserContext, type Page, type Response } from 'playwright-core';

const root = new URL('../..', import.meta.url).pathname;
/** `npm run pictures` writes those of the README; other runs must leave the checkout as it is. */
const pictures = join(root, process.env.CONCORD_PICTURES ?? 'build/pictures');

const PATIENCE_MS = 60_000;

export const PASSWORD = 'correct horse battery staple';

/** Somebody at a screen of their own. */
export interface Person {
  name: string;
  email: string;
  origin: string;
  context: BrowserContext;
  page: Page;
  /** What the page's console said went wrong, but for a server that was killed, or a network that was cut, on purpose. */
  complaints: string[];
}

export async function openBrowser(more: string[] = []): Promise<Browser> {
  const executablePath = [
    process.env.CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome'
  ].find((path) => path && existsSync(path));
  if (!executablePath) throw new Error('There is no Chromium; npm test installs it, or set CHROMIUM.');
  return chromium.launch({
    executablePath,
    args: [
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
      ...['--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
      ...more
    ]
  });
}

/**
 * Makes a page wait for its scripts after each load. `fill` selects what a field holds and then types: where the scripts
 * take the field over in between, both texts are in it.
 */
function awaitScripts(page: Page): void {
  for (const load of ['goto', 'reload'] as const) {
    const loadPage = page[load].bind(page) as (...given: unknown[]) => Promise<Response | null>;
    page[load] = async (...given: unknown[]) => {
      const response = await loadPage(...given);
      await page.locator('html[data-ready]').waitFor();
      return response;
    };
  }
}

export async function person(browser: Browser, origin: string, name: string): Promise<Person> {
  const context = await browser.newContext({
    baseURL: origin,
    viewport: { width: 1440, height: 900 },
    locale: 'en-GB',
    reducedMotion: 'reduce'
  });
  context.on('page', awaitScripts);
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  page.on('console', (message) => {
    const text = message.text();
    if (
      message.type() === 'error' &&
      !/ERR_(CONNECTION|SOCKET|EMPTY_RESPONSE|NETWORK|INTERNET_DISCONNECTED|INCOMPLETE_CHUNKED)|WebSocket connection to|error occurred when fetching the script/.test(
        text
      )
    )
      complaints.push(text);
  });
  const email = `${name.split(' ')[0]!.toLowerCase()}@example.org`;
  return { name, email, origin, context, page, complaints };
}

/** The first account, made through its page; answers the id of the demo project. */
export async function signUpFirst({ page, name, email }: Person): Promise<string> {
  await page.goto('/');
  await page.waitForURL('**/welcome');
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Email').fill(email);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create account' }).click();
  await page.waitForURL('**/projects/*');
  return new URL(page.url()).pathname.split('/')[2]!;
}

/** Opens an invitation's link and accepts it: with a new account, or with the one that is signed in. */
export async function acceptInvitation(
  { page, name }: Person,
  link: string,
  hasAccount = false
): Promise<void> {
  await page.goto(link);
  if (!hasAccount) {
    await page.getByLabel('Your name').fill(name);
    await page.getByLabel('Password').fill(PASSWORD);
  }
  await page.getByRole('button', { name: 'Join the project' }).click();
  await page.waitForURL('**/projects/**');
}

/** Calls the API as this person's browser would. */
export async function callAs<T>(
  { context, origin }: Person,
  method: string,
  path: string,
  data?: unknown
): Promise<{ status: number; body: T }> {
  const response = await context.request.fetch(`/api/v1${path}`, { method, data, headers: { origin } });
  const text = await response.text();
  return { status: response.status(), body: (text ? JSON.parse(text) : null) as T };
}

/** Waits until the page says that everything is saved, or another of its states. */
export const saved = (page: Page, state = 'saved') => page.locator(`[data-saved=${state}]`).waitFor();

/** The letters in each row of the ranking on the page. */
export const rows = (page: Page): Promise<string[][]> =>
  page
    .locator('[data-place]')
    .evaluateAll((found) =>
      found.map((one) => [...one.querySelectorAll('[data-chip]')].map((chip) => chip.textContent!.trim()[0]!))
    );

export async function press(page: Page, ...keys: string[]): Promise<void> {
  for (const key of keys) await page.keyboard.press(key);
}

export async function picture(page: Page, name: string): Promise<void> {
  // Of every page one for each scheme and width: as JPEG, a fourth of the bytes.
  const isOne = name.startsWith('pages/');
  const path = join(pictures, `${name}.${isOne ? 'jpeg' : 'png'}`);
  await mkdir(dirname(path), { recursive: true });
  await page.screenshot({ path, ...(isOne ? { type: 'jpeg', quality: 70 } : {}) });
}

/** What axe finds against WCAG 2.2 AA on the page as it stands, one line each. */
export async function barriers(page: Page): Promise<string[]> {
  await settled(page);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  // Without a page of its own beside this one, which would be hidden meanwhile and draw no frame to wait for.
  const axe = new AxeBuilder({ page }).withTags(tags).setLegacyMode();
  const { violations } = await inTime(axe.analyze(), 'let axe look at it');
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`));
}

/** How many pixels the page is wider than the screen: content that a phone would have to scroll sideways for. */
export async function overhang(page: Page): Promise<number> {
  await settled(page);
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** As the pictures of a page show it: each of its schemes, and each of its widths. */
const VIEWS = [
  ['light', 1440, 900],
  ['light', 390, 844],
  ['dark', 1440, 900]
] as const;

/**
 * What stands on the page holds in light and dark, on a screen and on a phone, and in colours of one's own choosing: no
 * barrier, nothing wider than the screen. A picture of each but the last is kept under `name`, after `more` was looked at.
 */
export async function expectToHold(
  page: Page,
  name: string,
  more: (view: string) => Promise<void> = async () => {}
): Promise<void> {
  for (const [scheme, width, height] of VIEWS) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height });
    const view = `${name} ${scheme} ${width}`;
    expect(await barriers(page), view).toEqual([]);
    expect(await overhang(page), view).toBeLessThanOrEqual(0);
    await more(view);
    await picture(page, `${name}-${scheme}-${width}`);
  }
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'active' });
  expect(await barriers(page), `${name} forced colours`).toEqual([]);
  await page.emulateMedia({ forcedColors: 'none' });
}

/** After another size or colour scheme: laid out anew, and nothing on its way from one colour to another. */
export async function settled(page: Page): Promise<void> {
  const drawn = page.evaluate(async () => {
    const frame = () => new Promise(requestAnimationFrame);
    await frame();
    await frame();
    // Asked, not waited for: what lies in a closed menu ends without a word, since nobody draws it.
    while (document.getAnimations().some(({ playState }) => playState === 'running')) await frame();
  });
  await inTime(drawn, 'draw its frames and end its transitions');
}

/** Playwright waits for ever for what a page evaluates. */
async function inTime<T>(work: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`The page did not ${what} within ${PATIENCE_MS / 1000} s.`)),
      PATIENCE_MS
    );
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}
