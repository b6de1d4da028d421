import { afterAll, beforeAll, expect, test } from 'vitest';
import { invite, onDevice, open, openDesk, taskOf, type Desk } from './desk.ts';
import {
  barriers,
  callAs,
  openBrowser,
  PASSWORD,
  person,
  press,
  rows,
  saved,
  type Person
} from './people.ts';

let desk: Desk;
let bo: Person;

beforeAll(async () => {
  desk = await openDesk();
  ({ bo } = desk);
});

afterAll(() => desk?.close());

/** Edits of anybody that lie on the device. */
const editsOnDevice = async ({ page }: Person) => (await onDevice(page)).edits ?? 0;

test('signing out warns of work that was not delivered, and leaves nothing of it on a shared device', async () => {
  const task = await taskOf(desk.ada, desk.demo, 1);
  const page = await open(bo, task);
  await page.evaluate(() => caches.open('concord-preview-of-a-base').then(() => null));
  await desk.server.kill();
  await saved(page, 'offline');
  await press(page, '1', '2');
  await expect.poll(() => editsOnDevice(bo)).toBeGreaterThan(0);
  const signOut = page.getByRole('button', { name: 'Sign out', exact: true });
  await page.locator('summary[aria-label^="Account of"]').click();
  await signOut.click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText('What you did in one task has not reached the server.').waitFor();
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Stay' }).click();
  expect(await editsOnDevice(bo)).toBeGreaterThan(0);

  // Without a connection nobody is signed out, and nothing is erased.
  await page.locator('summary[aria-label^="Account of"]').click();
  await signOut.click();
  await dialog.getByRole('button', { name: 'Erase it and sign out' }).click();
  await dialog.getByRole('alert').waitFor();
  expect(await editsOnDevice(bo)).toBeGreaterThan(0);
  await dialog.getByRole('button', { name: 'Stay' }).click();

  await desk.server.start();
  await saved(page);
  expect((await rows(page)).slice(0, 2)).toEqual([['A'], ['B']]);
  await page.locator('summary[aria-label^="Account of"]').click();
  await signOut.click();
  await page.waitForURL('**/sign-in*');
  expect(await editsOnDevice(bo)).toBe(0);
  expect(await page.evaluate(() => caches.has('concord-preview-of-a-base'))).toBe(false);
});

test('who leaves for somebody who is invited leaves nothing of theirs either', async () => {
  const cy = await person(desk.browser, desk.origin, 'Cy Adeyemi');
  await invite(desk.ada, desk.demo, cy, 'reviewer');
  const page = await open(cy, await taskOf(desk.ada, desk.demo, 2));
  await page.getByRole('button', { name: 'Take along' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Take along' }).click();
  await expect.poll(async () => (await onDevice(page)).along ?? 0).toBeGreaterThan(0);
  await press(page, 'Escape');

  const invited = { email: 'dee@ward.test', role: 'reviewer' };
  const path = `/projects/${desk.demo}/invitations`;
  const { body } = await callAs<{ link: string }>(desk.ada, 'POST', path, invited);
  await page.goto(body.link);
  await page.getByText(invited.email).first().waitFor();
  expect(await barriers(page)).toEqual([]);
  await page.getByRole('button', { name: 'Sign out and go on' }).click();
  await page.getByLabel('Your name').waitFor();
  expect(Object.values(await onDevice(page)).filter((count) => count > 0)).toEqual([]);
});

test('where scripts come late, nothing that is typed goes into the address; it is kept, and sent when it can be', async () => {
  const context = await desk.browser.newContext({ baseURL: desk.origin, locale: 'en-GB' });
  const page = await context.newPage();
  const arrive = Promise.withResolvers<void>();
  await page.route('**/*.js', (route) => arrive.promise.then(() => route.continue()));
  await page.goto('/sign-in', { waitUntil: 'commit' });
  await page.getByLabel('Email').fill(desk.ada.email);
  await page.getByLabel('Password').fill(PASSWORD);
  const submit = page.getByRole('button', { name: 'Sign in' });
  expect(await submit.isDisabled()).toBe(true);
  await page.getByLabel('Password').press('Enter');
  // Also where something else than its button sends the form.
  await page.evaluate(() => document.forms[0]!.submit());
  await page.waitForTimeout(500);
  expect(page.url()).toBe(`${desk.origin}/sign-in`);
  arrive.resolve();
  await submit.click();
  await page.getByRole('heading', { level: 1, name: 'Projects' }).waitFor();
  await context.close();
});

test('a page that another machine reads without encryption says so; one on this machine does not', async () => {
  const notice = 'This page came over a connection that is not encrypted';
  const { page } = desk.ada;
  await page.goto('/');
  expect(await page.getByText(notice).count()).toBe(0);
  const browser = await openBrowser(['--host-resolver-rules=MAP ward.test 127.0.0.1']);
  const elsewhere = await (await browser.newContext()).newPage();
  await elsewhere.goto(`http://ward.test:${new URL(desk.origin).port}/sign-in`);
  await elsewhere.getByText(notice).waitFor();
  expect(await barriers(elsewhere)).toEqual([]);
  await browser.close();
});

test('the app can be installed: a manifest with icons that are as large as it says', async () => {
  const { context } = desk.ada;
  const response = await context.request.get('/manifest.webmanifest');
  expect(response.headers()['content-type']).toContain('application/manifest+json');
  const manifest = await response.json();
  expect(manifest).toMatchObject({ name: 'Concord', display: 'standalone', start_url: '/' });
  const sizes: string[] = [];
  for (const { src, type, sizes: said } of manifest.icons) {
    const icon = await context.request.get(src);
    expect(icon.headers()['content-type']).toContain(type);
    if (type !== 'image/png') continue;
    // Width and height stand in the first chunk of a PNG.
    const bytes = await icon.body();
    expect(`${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`).toBe(said);
    sizes.push(said);
  }
  expect(sizes).toEqual(['192x192', '512x512', '512x512']);
});

test('a device that is full says so: nothing is taken along, and what is done without a connection is not said to be kept', async () => {
  const { ada } = desk;
  const task = await taskOf(ada, desk.demo, 5);
  const page = await open(ada, task);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => null));
  const devtools = await ada.context.newCDPSession(page);
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: desk.origin, quotaSize: 1 });
  await page.getByRole('button', { name: 'Take along' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('button', { name: 'Take along' }).click();
  await dialog.getByText('This device does not keep them: its store is full').waitFor();
  await press(page, 'Escape');
  await desk.server.kill();
  await saved(page, 'offline');
  await press(page, '1');
  await saved(page, 'tab');
  await devtools.send('Storage.overrideQuotaForOrigin', { origin: desk.origin });
  await desk.server.start();
  await saved(page);
  expect((await rows(page))[0]).toEqual(['A']);
});
