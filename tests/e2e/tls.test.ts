import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { realServer, type RealServer } from '../real-server.ts';
import { openBrowser, person, press, rows, saved, signUpFirst } from './people.ts';

/*
 * The site's own certificate: made here, and trusted by this one browser.
 */
let folder: string;
let server: RealServer;
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'concord-tls-'));
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  execFileSync('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-subj', '/CN=Concord test', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ...['-keyout', keyFile, '-out', certFile]
  ]);
  const { publicKey } = new X509Certificate(await readFile(certFile));
  const key = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64');
  server = await realServer({ tls: { certFile, keyFile } });
  browser = await openBrowser([`--ignore-certificate-errors-spki-list=${key}`]);
});

afterAll(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

test('over https pages, sockets and the app on the device work, and the session never travels unencrypted', async () => {
  const ada = await person(browser, server.origin, 'Ada Osei');
  const { page, context } = ada;
  const project = await signUpFirst(ada);
  expect(await page.evaluate(() => isSecureContext)).toBe(true);
  expect(await page.getByText('over a connection that is not encrypted').count()).toBe(0);
  expect((await context.cookies()).find(({ name }) => name.includes('session'))).toMatchObject({
    secure: true,
    httpOnly: true,
    sameSite: 'Lax'
  });
  await page.goto(`/projects/${project}/review`);
  await page.waitForURL('**/review/task_*');
  await saved(page);
  await press(page, '1', '2');
  await saved(page);
  await page.reload();
  await saved(page);
  expect((await rows(page)).slice(0, 2)).toEqual([['A'], ['B']]);
  await page.evaluate(() => navigator.serviceWorker.ready.then(() => null));
  await server.kill();
  await page.goto('/account');
  await page.getByRole('heading', { level: 1 }).waitFor();
  await server.start();
  expect(ada.complaints).toEqual([]);
});

test('without encryption nothing is answered', async () => {
  await expect(fetch(server.origin.replace('https', 'http'))).rejects.toThrow();
});
