import type { Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Ranking } from '#wire/ranking.ts';
import type { Task } from '#wire/task.ts';
import { openPanel, type Panel } from './panel.ts';
import { callAs, expectToHold, press, saved, type Person } from './people.ts';

/*
 * A blind panel of three, each in a browser of their own, from the first vote to the consensus: each test goes on where
 * the one before ended.
 */
let panel: Panel;
let [ada, bo, cy]: Person[] = [];
let project = '';
let task: Task;

beforeAll(async () => {
  const texts = [
    'A 14 mm nodule in the right upper lobe. CT within two weeks.',
    'No focal lesion. Heart size normal.',
    'A nodule in the left upper lobe; follow up.',
    'Right upper lobe opacity, probably a nodule. Compare with earlier films, then CT.'
  ];
  const row = {
    prompt: 'Report this chest film: a well-defined opacity projects over the right upper zone.',
    outputs: texts.map((text, at) => ({ text, source: `model ${at + 1}` }))
  };
  const criteria = [{ id: 'safe', label: 'Safe to send', scale: 'yes_no' as const }];
  panel = await openPanel({ name: 'Chest films, blind panel', overlap: 3, criteria }, [row]);
  [ada, bo, cy] = panel.people;
  ({ project } = panel);
  task = panel.tasks[0]!;
});

afterAll(() => panel?.close());

const tablePath = () => `/projects/${project}/table/${task.id}`;

/** Ranks by letters, best first, on the review page, and submits. */
async function vote({ page }: Person, letters: string): Promise<void> {
  await page.goto(`/projects/${project}/review/${task.id}`);
  await saved(page);
  for (const [at, letter] of [...letters].entries())
    await page
      .getByRole('group', { name: `Place of output ${letter}` })
      .getByRole('button', { name: `Place ${at + 1}` })
      .click();
  await press(page, 'Control+Enter');
  await page.getByText('Nothing waits for you').waitFor();
}

/** The letters in each place of the consensus on a page. */
const consensus = (page: Page) =>
  page
    .locator('[data-place]')
    .evaluateAll((found) => found.map((one) => one.textContent!.replaceAll(/\s/g, '')));

/** Keeps every frame that a page's sockets receive, as text. */
function overhear({ page }: Person): string[] {
  const frames: string[] = [];
  page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => frames.push(payload.toString('latin1')))
  );
  return frames;
}

/** How many pixels of the open page's name the bar of the project's pages hides. */
const openTabCut = (page: Page) =>
  page.locator('nav [aria-current]').evaluate((open) => {
    const [name, bar] = [open.getBoundingClientRect(), open.closest('nav')!.getBoundingClientRect()];
    return Math.max(bar.left - name.left, name.right - bar.right);
  });

test('while votes come in, the table is shut, on the page and on the wire', async () => {
  const frames = overhear(bo!);
  await vote(ada!, 'ADCB');
  await vote(bo!, 'DACB');
  await bo!.page.goto(tablePath());
  await bo!.page.getByRole('heading', { name: 'The table of task 1 is not open yet' }).waitFor();
  await bo!.page.getByText('2 of 3 are in.').waitFor();
  const code = await bo!.page.evaluate(
    (room) =>
      new Promise<number>((resolve) => {
        const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/yjs/${room}`);
        socket.onclose = (event) => resolve(event.code);
      }),
    `table/${task.id}`
  );
  expect(code).toBe(4403);
  expect((await callAs(bo!, 'GET', `/tasks/${task.id}/remarks`)).status).toBe(403);
  const { body } = await callAs<{ items: Ranking[] }>(bo!, 'GET', `/tasks/${task.id}/rankings`);
  expect(body.items.map(({ rater }) => rater.name)).toEqual([bo!.name]);
  // Bo's own ballot names the outputs; nothing that came tells of the others' votes but how many there are.
  expect(frames.filter((frame) => /"kind":"(revealed|rankings)"/.test(frame))).toEqual([]);
});

test('the last vote opens it under the eyes of who waits, and tells who is elsewhere', async () => {
  await ada!.page.goto(`/projects/${project}`);
  await ada!.page.getByRole('heading', { name: 'Chest films, blind panel' }).waitFor();
  await vote(cy!, 'ACDB');
  await bo!.page.getByRole('heading', { name: 'Table of task 1' }).waitFor();
  const told = ada!.page.getByRole('status', { name: 'News' });
  await told.getByText('Task 1 has its rankings. Its table is open.').waitFor();
  await told.getByRole('link', { name: 'Open the table' }).click();
  await ada!.page.waitForURL(`**${tablePath()}`);
  await cy!.page.goto(tablePath());
  for (const { page } of [ada!, bo!, cy!]) await saved(page);
});

test('rankings stand side by side, one row for each reviewer, and where they cross it shows', async () => {
  const { page } = cy!;
  const row = async (name: string) => {
    const cells = page.getByRole('row', { name: new RegExp(`^${name}`) }).getByRole('cell');
    return (await cells.allInnerTexts()).map((text) => text.trim());
  };
  expect(await row('Ada Osei')).toEqual(['A', 'D', 'C', 'B', '']);
  expect(await row('Bo Lindqvist')).toEqual(['D', 'A', 'C', 'B', '']);
  expect(await row('Cy Ferrer')).toEqual(['A', 'C', 'D', 'B', '']);
  await page.getByText('2 of 3 place A first.').waitFor();
  await page.getByText('A before D for 2, after it for 1.').waitFor();
  await page.getByText('D before C for 2, after it for 1.').waitFor();
  await page
    .getByText('Kendall’s W 0.78 (1: one and the same order); two reviewers on average: τ 0.56')
    .waitFor();
  // Ada over Bo: A and D cross. Bo over Cy: A, C and D do.
  await expect.poll(() => page.locator('path.crosses').count()).toBe(5);
});

test('what is said reaches the others at once; a mention finds who is elsewhere, and is new until it was seen', async () => {
  await bo!.page.goto(`/projects/${project}/tasks`);
  await bo!.page.getByRole('heading', { name: 'Tasks' }).waitFor();
  const { page } = ada!;
  await press(page, 'd');
  await page.keyboard.type('B misses the nodule. @Bo');
  await page.getByRole('option', { name: 'Bo Lindqvist' }).waitFor();
  await press(page, 'Enter');
  await page.keyboard.type('why D first?');
  await press(page, 'Control+Enter');
  const said = 'B misses the nodule. @Bo Lindqvist why D first?';
  await page.getByRole('log').getByText(said).waitFor();
  await cy!.page.getByRole('log').getByText(said).waitFor();

  const told = bo!.page.getByRole('status', { name: 'News' });
  await told.getByText('Ada Osei mentioned you at the table of task 1.').waitFor();
  await bo!.page.getByRole('link', { name: /^Tables.*1 with something new$/ }).click();
  await bo!.page.getByRole('cell', { name: 'mentions you' }).waitFor();
  await bo!.page.getByRole('link', { name: /Report this chest film/ }).click();
  await bo!.page.getByRole('log').getByText(said).waitFor();
  await bo!.page.getByRole('link', { name: 'Tables', exact: true }).waitFor();
  await bo!.page.getByLabel('Say something').fill('It asks for earlier films.');
  await bo!.page.getByRole('button', { name: 'Send' }).click();
  await page.getByRole('log').getByText('It asks for earlier films.').waitFor();
  await page.getByRole('log').getByText('Bo Lindqvist', { exact: true }).waitFor();
});

test('the consensus is made together: moves of three people at once end as one order on every page', async () => {
  await bo!.page.getByRole('button', { name: 'Start from the mean of the rankings' }).click();
  for (const { page } of [ada!, bo!, cy!])
    await expect.poll(() => consensus(page)).toEqual(['A', 'D', 'C', 'B']);
  // Each moves a letter of their own; Ada and Cy move the same one.
  await Promise.all([
    ada!.page
      .getByRole('row', { name: /^Consensus/ })
      .getByRole('button', { name: 'Output D' })
      .click(),
    bo!.page
      .getByRole('row', { name: /^Consensus/ })
      .getByRole('button', { name: 'Output B' })
      .click(),
    cy!.page
      .getByRole('row', { name: /^Consensus/ })
      .getByRole('button', { name: 'Output D' })
      .click()
  ]);
  for (const { page } of [ada!, bo!, cy!]) await page.getByRole('heading', { level: 1 }).click();
  await Promise.all([press(ada!.page, '1'), press(bo!.page, '3'), press(cy!.page, '3')]);
  for (const { page } of [ada!, bo!, cy!]) await saved(page);
  const end = await consensus(ada!.page);
  for (const { page } of [bo!, cy!]) await expect.poll(() => consensus(page)).toEqual(end);
  expect([...end.join('')].sort()).toEqual(['A', 'B', 'C', 'D']);

  await press(cy!.page, '2');
  for (const { page } of [ada!, bo!, cy!])
    await expect.poll(() => consensus(page)).toEqual(['A', 'D', 'BC', '']);
});

test('a letter is dragged to a place of its own, and others see who holds it', async () => {
  const { page } = ada!;
  const chip = page.getByRole('row', { name: /^Consensus/ }).getByRole('button', { name: 'Output B' });
  const from = (await chip.boundingBox())!;
  const to = (await page.locator('[data-place="4"]').boundingBox())!;
  await page.mouse.move(from.x + 10, from.y + 10);
  await page.mouse.down();
  await page.mouse.move(from.x + 30, from.y + 14, { steps: 3 });
  await page.mouse.move(to.x + to.width / 2, to.y + to.height / 2, { steps: 5 });
  await bo!.page.getByTitle('Ada Osei moves this').waitFor();
  await page.mouse.up();
  for (const { page } of [ada!, bo!, cy!])
    await expect.poll(() => consensus(page)).toEqual(['A', 'D', 'C', 'B']);
});

test('what stands on the table becomes the consensus, and every page says so', async () => {
  await press(bo!.page, 'Control+Enter');
  await bo!.page.getByText('The consensus is A > D > C > B.').first().waitFor();
  for (const { page } of [ada!, cy!])
    await page.getByText('This is the consensus, decided by Bo Lindqvist').waitFor();
  const { body } = await callAs<{ items: Ranking[] }>(ada!, 'GET', `/tasks/${task.id}/rankings`);
  const letters = task.outputs.map(({ id }) => id);
  const made = body.items.find(({ kind }) => kind === 'consensus')!;
  expect(made.tiers.map(([id]) => 'ABCD'[letters.indexOf(id!)]).join('')).toBe('ADCB');
  expect(made.rater.name).toBe(bo!.name);
  const pairs = await callAs<{ items: { chosen: unknown }[] }>(ada!, 'GET', `/projects/${project}/pairs`);
  expect(pairs.body.items).toHaveLength(6);
});

test('the table holds in light and dark, on a phone, and for those who do not see it', async () => {
  const { page } = ada!;
  await expectToHold(page, 'pages/table', async (view) => {
    await page.evaluate(() => window.scrollTo(0, 0));
    expect(await openTabCut(page), view).toBeLessThanOrEqual(0);
  });
  expect([...ada!.complaints, ...bo!.complaints, ...cy!.complaints]).toEqual([]);
});
