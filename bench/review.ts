// The review page in a real Chromium on the production build: the next task on screen after submitting, script of the first
// load, and how long the page takes to answer with eight outputs of 1,500 words.
//   npm run build && node bench/review.ts [tasks]
import type { CDPSession, Page } from 'playwright-core';
import { callAs, openBrowser, person, press, saved, signUpFirst, type Person } from '../tests/e2e/people.ts';
import { realServer } from '../tests/real-server.ts';

const count = Number(process.argv[2] ?? 60);
const server = await realServer();
const browser = await openBrowser();
const ada = await person(browser, server.origin, 'Ada Osei');
await signUpFirst(ada);

const short = Array.from({ length: 2 * count + 2 }, (_, n) => ({
  prompt: `Write the impression of radiograph ${n}.`,
  outputs: Array.from({ length: 4 }, (_, at) => `${words(60, n + at)}.`)
}));
const project = await makeProject('Short', short);
console.log(`Script of the first load: ${await firstLoad()} KB compressed.`);
for (const [name, ahead] of [
  ['read ahead', true],
  ['read when asked for', false]
] as const) {
  const times = await nextTasks(ahead);
  console.log(
    `Next task on screen, ${name}, ${times.length} tasks: p50 ${at(times, 0.5)} ms, p95 ${at(times, 0.95)} ms.`
  );
}
const long = {
  prompt: 'Summarise the case.',
  outputs: Array.from({ length: 8 }, (_, n) => article(1_500, n))
};
const durations = await interactions(await makeProject('Long', [long]));
for (const [what, times] of durations)
  console.log(
    `8 outputs of 1,500 words, ${what}: p50 ${at(times, 0.5)} ms, longest ${at(times, 1)} ms to the next paint (${times.length}).`
  );
await browser.close();
await server.stop();

function words(length: number, seed: number): string {
  const some = [
    'the',
    'lung',
    'left',
    'is',
    'clear',
    'small',
    'effusion',
    'without',
    'of',
    'right',
    'no',
    'fracture'
  ];
  return Array.from({ length }, (_, n) => some[(n * 7 + seed * 5 + ((n * n) % 11)) % some.length]).join(' ');
}

function article(length: number, seed: number): string {
  return Array.from({ length: length / 75 }, (_, n) => `${words(75, seed * 31 + n)}.`).join('\n\n');
}

function at(times: number[], quantile: number): string {
  // Chromium reports none that took less than a frame.
  if (!times.length) return 'under 16';
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * quantile))]!.toFixed(0);
}

async function makeProject(name: string, tasks: object[]): Promise<string> {
  const given = { name, review: { mode: 'blind', overlap: 1 }, criteria: [] };
  const { body } = await callAs<{ id: string }>(ada, 'POST', '/projects', given);
  const response = await ada.context.request.fetch(`/api/v1/projects/${body.id}/imports`, {
    method: 'POST',
    data: tasks.map((task) => JSON.stringify(task)).join('\n'),
    headers: { origin: ada.origin, 'content-type': 'application/jsonl' }
  });
  const { id } = await response.json();
  while ((await callAs<{ status: string }>(ada, 'GET', `/imports/${id}`)).body.status !== 'done')
    await pause(50);
  return body.id;
}

async function firstLoad(): Promise<string> {
  const page = await freshPage(ada);
  const cdp: CDPSession = await page.context().newCDPSession(page);
  await cdp.send('Network.enable');
  const scripts = new Set<string>();
  let bytes = 0;
  cdp.on('Network.responseReceived', ({ requestId, type }) => type === 'Script' && scripts.add(requestId));
  cdp.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    if (scripts.has(requestId)) bytes += encodedDataLength;
  });
  await page.goto(`/projects/${project}/review`);
  await saved(page);
  await pause(1_000);
  await page.context().close();
  return (bytes / 1_024).toFixed(0);
}

async function freshPage({ context, origin }: Person): Promise<Page> {
  const fresh = await browser.newContext({
    baseURL: origin,
    storageState: await context.storageState(),
    locale: 'en-GB'
  });
  return fresh.newPage();
}

/** Milliseconds from the key that submits until the frame that shows the next task has been drawn. */
async function nextTasks(ahead: boolean): Promise<number[]> {
  const page = await freshPage(ada);
  if (!ahead) await page.route('**/tasks/next?after=*', (route) => route.abort());
  await page.addInitScript(() => {
    let pressed = 0;
    let title = '';
    const times: number[] = [];
    Object.assign(window, { times });
    addEventListener(
      'keydown',
      ({ key, ctrlKey, timeStamp }) => {
        if (key !== 'Enter' || !ctrlKey) return;
        pressed = timeStamp;
        title = document.querySelector('h1')?.textContent ?? '';
      },
      true
    );
    new MutationObserver(() => {
      const now = document.querySelector('h1')?.textContent ?? '';
      if (!pressed || now === title || !/\d/.test(now) || !document.querySelector('.outputs')) return;
      const from = pressed;
      pressed = 0;
      requestAnimationFrame(() => setTimeout(() => times.push(performance.now() - from)));
    }).observe(document, { subtree: true, childList: true, characterData: true });
  });
  await page.goto(`/projects/${project}/review`);
  for (let done = 0; done < count; done++) {
    await page.waitForURL(/review\/task_/);
    await saved(page);
    await press(page, '1', '2', '2', '3');
    await saved(page);
    // Nobody judges a task in less.
    await pause(400);
    await press(page, 'Control+Enter');
    await page.waitForFunction(
      (wanted) => (window as never as { times: number[] }).times.length === wanted,
      done + 1
    );
  }
  const times = await page.evaluate(() => (window as never as { times: number[] }).times);
  await page.context().close();
  return times;
}

/** Event Timing's duration of each interaction: from the input to the next paint. */
async function interactions(id: string): Promise<Map<string, number[]>> {
  const page = await freshPage(ada);
  await page.addInitScript(() => {
    const times: number[] = [];
    Object.assign(window, { times });
    const observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries() as (PerformanceEntry & { interactionId: number })[])
        if (entry.interactionId) times.push(entry.duration);
    });
    observer.observe({ type: 'event', buffered: true, durationThreshold: 16 } as PerformanceObserverInit);
  });
  await page.goto(`/projects/${id}/review`);
  await page.waitForURL(/review\/task_/);
  await saved(page);
  const taken = new Map<string, number[]>();
  const take = async (what: string, act: () => Promise<unknown>, times = 10) => {
    for (let n = 0; n < times; n++) {
      await act();
      await pause(250);
    }
    taken.set(what, await page.evaluate(() => (window as never as { times: number[] }).times.splice(0)));
  };
  await pause(500);
  await page.evaluate(() => (window as never as { times: number[] }).times.splice(0));
  let n = 0;
  await take('a place by key', () => press(page, String((n++ % 8) + 1)));
  await take('the next output', () => press(page, n++ % 2 ? 'ArrowRight' : 'ArrowLeft'));
  await take('marking differences', () => press(page, 'v'));
  await press(page, 'v');
  await take('the next output while differences are marked', () =>
    press(page, n++ % 2 ? 'ArrowRight' : 'ArrowLeft')
  );
  await press(page, 'v');
  await take('guidelines', () => press(page, n++ % 2 ? 'g' : 'Escape'));
  await page.locator('textarea').first().focus();
  await page.evaluate(() => (window as never as { times: number[] }).times.splice(0));
  await take('a letter of the comment', () => press(page, 'x'));
  await page.context().close();
  return taken;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
