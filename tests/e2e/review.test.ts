import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Project } from '#wire/project.ts';
import { invite, open, openDesk, passOn, rankingsOf, submitOn, tap, taskOf, type Desk } from './desk.ts';
import { callAs, person, press, rows, saved, type Person } from './people.ts';

let desk: Desk;
let ada: Person;
let bo: Person;
let demo = '';

beforeAll(async () => {
  desk = await openDesk();
  ({ ada, bo, demo } = desk);
});

afterAll(() => desk?.close());

test('a card walks up and down through every place by Alt and the arrows, and each move can be taken back', async () => {
  const page = await open(ada, await taskOf(ada, demo, 1));
  await press(page, '1', '2', '3', '4');
  expect(await rows(page)).toEqual([['A'], ['B'], ['C'], ['D']]);
  const up: string[][][] = [];
  for (let step = 0; step < 6; step++) {
    await press(page, 'Alt+ArrowUp');
    up.push(await rows(page));
  }
  expect(up).toEqual([
    [['A'], ['B'], ['C', 'D'], []],
    [['A'], ['B'], ['D'], ['C']],
    [['A'], ['B', 'D'], ['C'], []],
    [['A'], ['D'], ['B'], ['C']],
    [['A', 'D'], ['B'], ['C'], []],
    [['D'], ['A'], ['B'], ['C']]
  ]);
  const heard = page.getByRole('status').filter({ hasText: 'D is at place 1' });
  await heard.waitFor();
  for (const expected of up.slice(0, 5).reverse()) {
    await press(page, 'Control+z');
    expect(await rows(page)).toEqual(expected);
  }
  await saved(page);
});

test('tapping ranks without a drag, and the same tap takes it back', async () => {
  const page = await open(ada, await taskOf(ada, demo, 2));
  await tap(page, 'C', 1);
  await tap(page, 'A', 2);
  await tap(page, 'D', 2);
  expect(await rows(page)).toEqual([['C'], ['A', 'D'], [], []]);
  await tap(page, 'C', 1);
  expect(await rows(page)).toEqual([[], ['A', 'D'], [], []]);
  await page.getByText('Not placed, so in no pair: B, C.').waitFor();
});

test('who hears the page ranks by Tab and Enter: every control has its name, every move is said once', async () => {
  const page = await open(ada, await taskOf(ada, demo, 4));
  await page.evaluate(() => {
    const said: string[] = [];
    Object.assign(window, { said });
    for (const region of document.querySelectorAll('[role=status]'))
      new MutationObserver(() => said.push(region.textContent)).observe(region, {
        ...{ childList: true, characterData: true, subtree: true }
      });
  });
  const said = async () =>
    (await page.evaluate(() => (window as unknown as { said: string[] }).said.splice(0)))
      .map((text) => text.trim())
      .filter((text) => / place|taken back/.test(text));
  /** To the next control with this name in the order of Tab, from wherever the reader is. */
  const tabTo = async (group: string, name: string) => {
    const control = page.getByRole('group', { name: group }).getByRole('button', { name, exact: true });
    for (let step = 0; step < 120; step++) {
      await press(page, 'Tab');
      if (await control.evaluate((one) => one === document.activeElement)) return;
    }
    throw new Error(`Tab never came to ${group}, ${name}`);
  };
  await tabTo('Place of output A', 'Place 2');
  await press(page, 'Enter');
  expect(await said()).toEqual(['A is at place 2']);
  await tabTo('Place of output B', 'Place 2');
  await press(page, 'Space');
  expect(await said()).toEqual(['B is at place 2, tied with A']);
  await tabTo('Place of output C', 'Place 1');
  await press(page, 'Enter');
  expect(await said()).toEqual(['C is at place 1']);
  await press(page, 'Enter');
  expect(await said()).toEqual(['C has no place']);
  // The same words twice are two moves.
  await press(page, 'Control+z');
  await press(page, 'Control+z');
  expect(await said()).toEqual(['Last move taken back', 'Last move taken back']);
  expect(await rows(page)).toEqual([[], ['A', 'B'], [], []]);
  const board = await page.getByRole('list', { name: 'My ranking, best first' }).ariaSnapshot();
  expect(board.match(/(listitem|button) "[^"]*"/g)).toEqual([
    'listitem "Place 1, empty"',
    'listitem "Place 2"',
    'button "Output A"',
    'button "Output B"',
    'listitem "Place 3, empty"',
    'listitem "Place 4, empty"'
  ]);
  expect(board.match(/list$/gm)).toBeNull();
  const submit = page.getByRole('button', { name: 'Submit', exact: true });
  expect(await submit.getAttribute('aria-describedby')).toBe('before-submit');
  expect(await page.locator('#before-submit').innerText()).toBe('Not placed, so in no pair: C, D.');
});

test('a finger drags a card where it would otherwise scroll the page', async () => {
  const task = await taskOf(ada, demo, 3);
  const context = await desk.browser.newContext({
    baseURL: desk.origin,
    storageState: await ada.context.storageState(),
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true
  });
  const page = await context.newPage();
  await open({ ...ada, page }, task);
  const chip = page.locator('[data-chip]').first();
  await chip.scrollIntoViewIfNeeded();
  await page.evaluate(() => window.scrollBy(0, 200));
  const center = async (selector: string) => {
    const { x, y, width, height } = (await page.locator(selector).first().boundingBox())!;
    return { x: x + width / 2, y: y + height / 2 };
  };
  const [from, to] = [await center('[data-chip]'), await center('[data-place="2"]')];
  const scrolled = await page.evaluate(() => window.scrollY);
  const touch = await context.newCDPSession(page);
  const send = (type: 'touchStart' | 'touchMove' | 'touchEnd', points: { x: number; y: number }[]) =>
    touch.send('Input.dispatchTouchEvent', { type, touchPoints: points });
  await send('touchStart', [from]);
  for (let step = 1; step <= 8; step++)
    await send('touchMove', [
      { x: from.x + ((to.x - from.x) * step) / 8, y: from.y + ((to.y - from.y) * step) / 8 }
    ]);
  expect(await page.evaluate(() => window.scrollY)).toBe(scrolled);
  await send('touchEnd', []);
  expect(await rows(page)).toEqual([[], ['A'], [], []]);
  await saved(page);
  await context.close();
});

test('all bad and cannot judge are verdicts of their own; a skipped task comes back at the end', async () => {
  const { page } = bo;
  await page.goto(`/projects/${demo}/review`);
  await page.waitForURL('**/review/task_*');
  await saved(page);
  const [first, second] = [await taskOf(ada, demo, 1), await taskOf(ada, demo, 2)];
  await passOn(page, () => press(page, 'x'));
  await passOn(page, async () => {
    await press(page, 'c');
    await page.getByLabel('Reason').fill('The image is needed for this.');
    await page.getByRole('button', { name: 'Submit without a ranking' }).click();
  });
  await passOn(page, () => press(page, 's'));
  await page.getByText('Task 3 is skipped; it comes back at the end.').waitFor();
  expect(await rankingsOf(bo, first)).toMatchObject([{ verdict: 'all_bad', tiers: [], version: 1 }]);
  expect(await rankingsOf(bo, second)).toMatchObject([
    { verdict: 'cannot_judge', reason: 'The image is needed for this.' }
  ]);
  expect(page.url()).toContain((await taskOf(ada, demo, 4)).id);

  // Back to what was submitted: it is as it was left, and submits as a new version.
  await page.goBack();
  await open(bo, second);
  await page.getByText('Place at least one output.').waitFor();
  await press(page, '1', '2');
  await submitOn(page, second);
  const versions = await rankingsOf(bo, second);
  expect(versions.map(({ version, verdict }) => [version, verdict])).toEqual([
    [1, 'cannot_judge'],
    [2, 'ranked']
  ]);
});

test('criteria and the comment go with the ranking, and typing in it moves no card', async () => {
  const task = await taskOf(ada, demo, 5);
  const page = await open(bo, task);
  const criteria = page.getByRole('region', { name: 'Criteria for output A' });
  await criteria.getByRole('button', { name: 'no', exact: true }).click();
  await criteria.getByRole('button', { name: '4', exact: true }).click();
  await criteria.getByRole('button', { name: 'minor edits' }).click();
  await criteria.getByRole('button', { name: 'minor edits' }).click();
  await page.getByLabel('Comment').fill('2 of 4 name the side; x marks the other s.');
  await page.getByLabel('Comment').press('Control+Enter');
  expect(await rankingsOf(bo, task)).toEqual([]);
  await page.getByRole('heading', { level: 1 }).click();
  await press(page, '3', '1');
  await page.getByLabel('Comment').focus();
  await submitOn(page, task);
  const [ranking] = await rankingsOf(bo, task);
  const [a, b] = task.outputs.map(({ id }) => id);
  expect(ranking).toMatchObject({ tiers: [[b], [a]], comment: '2 of 4 name the side; x marks the other s.' });
  expect(Object.values(ranking!.ratings).sort()).toEqual([4, false]);
});

test('in a blind project nobody sees another at work, nor their ranking before the reveal', async () => {
  const made = await callAs<Project>(ada, 'POST', '/projects', {
    name: 'Blind panel',
    review: { mode: 'blind', overlap: 2 },
    criteria: []
  });
  const project = made.body.id;
  await ada.context.request.post(`/api/v1/projects/${project}/imports`, {
    headers: { origin: desk.origin, 'content-type': 'application/jsonl' },
    data: JSON.stringify({
      prompt: 'Which is better?',
      outputs: [
        { text: 'This one.', source: 'model one' },
        { text: 'That one.', source: 'model two' }
      ]
    })
  });
  await invite(ada, project, bo, 'reviewer', true);
  await expect.poll(async () => (await taskOf(ada, project, 1))?.outputs.length).toBe(2);
  const task = await taskOf(ada, project, 1);
  const received: string[] = [];
  bo.page.on('websocket', (socket) =>
    socket.on('framereceived', ({ payload }) => received.push(payload.toString('latin1')))
  );
  const [a, b] = [await open(ada, task), await open(bo, task)];
  await b.getByRole('list', { name: 'On this task now' }).getByText(ada.name).waitFor();
  expect(await b.getByRole('button', { name: 'Together' }).count()).toBe(0);
  expect(await b.getByText('model one').count()).toBe(0);
  await a.getByRole('button', { name: 'B is better' }).click();
  await a.getByText('Nothing waits for you').waitFor();
  await b.reload();
  await saved(b);
  await b.getByText('Nobody has submitted a ranking of this task that you may see.').waitFor();
  expect(await rankingsOf(bo, task)).toEqual([]);
  expect(received.join('')).not.toMatch(new RegExp(`ballot/${task.id}|${task.outputs[0]!.id}`));

  await b.getByRole('button', { name: 'A is better' }).click();
  await b.getByText('Nothing waits for you').waitFor();
  await open(bo, task);
  await b.getByText('revealed').waitFor();
  await b.getByText('B > A').waitFor();
  await b.getByText('model one').waitFor();
  await b.getByRole('button', { name: /Together/ }).click();
  await b.getByText('Everyone on this task sees each move as it happens.').waitFor();
});

test('a task that has its rankings says so to a third person, who may look', async () => {
  const cy = await person(desk.browser, desk.origin, 'Cy Ferrer');
  await invite(ada, demo, cy, 'reviewer');
  const task = await taskOf(ada, demo, 1);
  const page = await open(ada, task);
  await submitOn(page, task);
  await open(cy, task);
  await cy.page.getByText('This task has its 2 rankings.').waitFor();
  await press(cy.page, '1');
  expect(await cy.page.getByRole('button', { name: /^Submit/ }).isDisabled()).toBe(true);

  const dee = await person(desk.browser, desk.origin, 'Dee Abara');
  await invite(ada, demo, dee, 'viewer');
  await open(dee, task);
  expect(await dee.page.getByRole('button', { name: /^Submit|^Skip/ }).count()).toBe(0);
});

test('V marks the words in which the others differ from the selected output', async () => {
  const task = await taskOf(ada, demo, 4);
  const page = await open(bo, task);
  const marked = (letter: string) =>
    page
      .getByRole('article', { name: `Output ${letter}` })
      .locator('mark')
      .count();
  await press(page, 'v');
  expect(await marked('A')).toBe(0);
  expect((await marked('B')) + (await marked('C')) + (await marked('D'))).toBeGreaterThan(0);
  await press(page, 'ArrowRight');
  await page.getByRole('button', { name: 'Mark differences from B', pressed: true }).waitFor();
  expect(await marked('B')).toBe(0);
  const shown = await page.getByRole('article', { name: 'Output C' }).locator('.text').innerText();
  expect(shown).toBe(task.outputs[2]!.text);
  await press(page, 'v');
  expect(await page.locator('mark').count()).toBe(0);
});

test('the keys of the page are listed under ?, and the guidelines under G', async () => {
  const page = await open(bo, await taskOf(ada, demo, 6));
  await press(page, '?');
  await page.getByRole('dialog').getByText('place the selected output; equal numbers tie').waitFor();
  await press(page, '1', 'Escape');
  expect((await rows(page)).flat()).toEqual([]);
  await press(page, 'g');
  await page.getByRole('dialog', { name: 'Guidelines' }).waitFor();
  await press(page, 'Escape');
});

test('in a blind project two people read the outputs in opposite orders, and mean the same by a letter', async () => {
  const { body: project } = await callAs<Project>(ada, 'POST', '/projects', {
    name: 'Both ways round',
    review: { mode: 'blind', overlap: 2 },
    criteria: []
  });
  await ada.context.request.post(`/api/v1/projects/${project.id}/imports`, {
    headers: { origin: desk.origin, 'content-type': 'application/jsonl' },
    data: JSON.stringify({ prompt: 'Which is better?', outputs: ['This one.', 'That one.'] })
  });
  await invite(ada, project.id, bo, 'reviewer', true);
  await expect.poll(async () => (await taskOf(ada, project.id, 1))?.outputs.length).toBe(2);
  const read = async ({ page }: Person) => {
    await page.goto(`/projects/${project.id}/review`);
    await page.waitForURL('**/review/task_*');
    await saved(page);
    const cards = page.getByRole('article', { name: /^Output [A-Z]/ });
    return cards.evaluateAll((found) =>
      found.map(
        (card) => `${card.getAttribute('aria-label')}: ${card.querySelector('.text')!.textContent!.trim()}`
      )
    );
  };
  const [hers, his] = [await read(ada), await read(bo)];
  expect(hers).toHaveLength(2);
  expect(his).toEqual(hers.toReversed());
});
