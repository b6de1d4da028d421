import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core';

const root = new URL('../..', import.meta.url).pathname;
/** `npm run pictures` writes those of the README; other runs must leave the checkout as it is. */
const pictures = join(root, process.env.CONCORD_PICTURES ?? 'build/pictures');

export const PASSWORD = 'correct horse battery staple';

/** Somebody at a screen of their own. */
export interface Person {
  name: string;
  email: string;
  context: BrowserContext;
  page: Page;
  /** What the page's console said went wrong, but for a server that was killed on purpose. */
  complaints: string[];
}

export async function openBrowser(): Promise<Browser> {
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
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync']
    ]
  });
}

export async function person(browser: Browser, origin: string, name: string): Promise<Person> {
  const context = await browser.newContext({
    baseURL: origin,
    viewport: { width: 1440, height: 900 },
    locale: 'en-GB',
    reducedMotion: 'reduce'
  });
  const page = await context.newPage();
  page.setDefaultTimeout(30_000);
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(error.stack ?? error.message));
  page.on('console', (message) => {
    const text = message.text();
    if (
      message.type() === 'error' &&
      !/ERR_CONNECTION|ERR_INCOMPLETE_CHUNKED|WebSocket connection to/.test(text)
    )
      complaints.push(text);
  });
  return { name, email: `${name.split(' ')[0]!.toLowerCase()}@example.org`, context, page, complaints };
}

export async function picture(page: Page, name: string): Promise<void> {
  const path = join(pictures, `${name}.png`);
  await mkdir(dirname(path), { recursive: true });
  await page.screenshot({ path });
}

/** What axe finds against WCAG 2.2 AA on the page as it stands, one line each. */
export async function barriers(page: Page): Promise<string[]> {
  await settled(page);
  const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
  const { violations } = await new AxeBuilder({ page }).withTags(tags).analyze();
  return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(' ')}`));
}

/** How many pixels the page is wider than the screen: content that a phone would have to scroll sideways for. */
export async function overhang(page: Page): Promise<number> {
  await settled(page);
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** After another size or colour scheme: laid out anew, and nothing on its way from one colour to another. */
export const settled = (page: Page) =>
  page.evaluate(async () => {
    for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
    await Promise.all(document.getAnimations().map(({ finished }) => finished.catch(() => {})));
  });
