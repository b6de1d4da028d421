import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Pair } from '#wire/pair.ts';
import type { Project } from '#wire/project.ts';
import { invite, open, openDesk, passOn, rankingsOf, taskOf, type Desk } from './desk.ts';
import {
  barriers,
  callAs,
  expectToHold,
  picture,
  press,
  rows,
  saved,
  settled,
  type Person
} from './people.ts';

let desk: Desk;
let ada: Person;
let bo: Person;
let demo = '';

beforeAll(async () => {
  desk = await openDesk();
  ({ ada, bo, demo } = desk);
});

afterAll(() => desk?.close());

const LEFT = 'Clear lungs. No effusion 🫁 is seen. The heart is of normal size.';
const RIGHT = 'Clear lungs. A small effusion is seen. The heart is large.';

/** A blind project of tasks with two outputs, in which Bo judges. */
async function pairs(review: object, criteria: object[] = []): Promise<Project> {
  const { body: project } = await callAs<Project>(ada, 'POST', '/projects', {
    ...{ name: 'Which report?', criteria },
    review: { mode: 'blind', overlap: 1, ...review }
  });
  await ada.context.request.post(`/api/v1/projects/${project.id}/imports`, {
    headers: { origin: desk.origin, 'content-type': 'application/jsonl' },
    data: [1, 2, 3, 4, 5, 6]
      .map((n) => JSON.stringify({ prompt: `Film ${n}`, outputs: [`${LEFT} (${n})`, `${RIGHT} (${n})`] }))
      .join('\n')
  });
  await expect.poll(async () => (await taskOf(ada, project.id, 6))?.outputs.length).toBe(2);
  await invite(ada, project.id, bo, 'reviewer', true);
  return project;
}

const onlyRanking = async (who: Person, task: Parameters<typeof rankingsOf>[1]) =>
  (await rankingsOf(who, task)).at(-1)!;

test('of two outputs one press says which is better, and brings the next task', async () => {
  const project = await pairs({});
  const { page } = bo;
  await page.goto(`/projects/${project.id}/review`);
  await page.waitForURL('**/review/task_*');
  const verdicts: unknown[] = [];
  for (const [n, key] of ['1', '2', '3', 'x'].entries()) {
    const task = await taskOf(bo, project.id, n + 1);
    await saved(page);
    const cards = await page
      .locator('[data-output]')
      .evaluateAll((all) => all.map((one) => one.getAttribute('data-output')));
    await passOn(page, () => press(page, key));
    await page.getByText(`Task ${n + 1} is submitted.`).waitFor();
    const { verdict, tiers, shown_order } = await onlyRanking(bo, task);
    expect(shown_order).toEqual(cards);
    verdicts.push([verdict, tiers.map((tier) => tier.map((output) => cards.indexOf(output)).sort())]);
  }
  expect(verdicts).toEqual([
    ['ranked', [[0], [1]]],
    ['ranked', [[0, 1]]],
    ['ranked', [[1], [0]]],
    ['all_bad', []]
  ]);
  await page.getByRole('button', { name: 'Cannot judge' }).click();
  await page.getByLabel('Reason').fill('Not my field.');
  await passOn(page, () => page.getByRole('button', { name: 'Submit without a ranking' }).click());
  await page.getByText('Task 5 is submitted.').waitFor();
  expect(await onlyRanking(bo, await taskOf(bo, project.id, 5))).toMatchObject({
    verdict: 'cannot_judge',
    reason: 'Not my field.'
  });
});

test('where the project asks how much better, seven answers go from left to right, and the pair says it', async () => {
  const project = await pairs({ strength: true });
  const task = await taskOf(bo, project.id, 1);
  const page = await open(bo, task);
  const bar = page.getByRole('group', { name: 'Which one is better?' });
  expect(await bar.getByRole('button').allInnerTexts()).toEqual(
    ['much', 'clearly', 'slightly', 'Tie', 'slightly', 'clearly', 'much'].map((name, at) =>
      expect.stringMatching(new RegExp(`^${name}\\s*${at + 1}$`))
    )
  );
  await expectToHold(page, 'pages/pair');
  await page.setViewportSize({ width: 1440, height: 900 });
  const right = (await page.locator('[data-output]').nth(1).getAttribute('data-output'))!;
  await passOn(page, () => press(page, '6'));
  await page.getByText('Task 1 is submitted.').waitFor();
  const ranking = await onlyRanking(bo, task);
  expect(ranking).toMatchObject({ verdict: 'ranked', strength: 2 });
  expect(ranking.tiers[0]).toEqual([right]);
});

test('where criteria are asked for, a press places, and the submission is an act of its own', async () => {
  const project = await pairs({}, [{ id: 'correct', label: 'Correct', scale: 'yes_no' }]);
  const task = await taskOf(bo, project.id, 1);
  const page = await open(bo, task);
  await press(page, '1');
  await saved(page);
  await page
    .getByRole('group', { name: 'Which one is better?' })
    .locator('button[aria-pressed=true]')
    .waitFor();
  expect(page.url()).toContain(task.id);
  expect(await rankingsOf(bo, task)).toEqual([]);
  await press(page, 'Control+z');
  await expect
    .poll(() =>
      page.getByRole('group', { name: 'Which one is better?' }).locator('button[aria-pressed=true]').count()
    )
    .toBe(0);
  await press(page, '3');
  await passOn(page, () => press(page, 'Control+Enter'));
  await page.getByText('Task 1 is submitted.').waitFor();
});

test('an output is made better beside what was changed of it, and beats the original in a pair', async () => {
  const task = await taskOf(ada, demo, 10);
  const page = await open(ada, task);
  await press(page, 'e');
  const card = page.getByRole('article', { name: 'Output A' });
  const field = card.getByLabel('Your version of A');
  await field.waitFor();
  const original = task.outputs[0]!.text;
  expect(await field.inputValue()).toBe(original);
  await field.fill(`${original.replace(/\S+\s*/, 'Better ')} And more.`);
  await card.locator('ins').first().waitFor();
  expect(await card.locator('del').first().innerText()).toContain(original.split(/\s/)[0]);
  await page.keyboard.press('Escape');
  await card.locator('header').click();
  await press(page, '1', 'ArrowRight', 'e');
  await page.getByText('You are editing A.').waitFor();
  await saved(page);
  await page.reload();
  await saved(page);
  expect(await card.getByLabel('Your version of A').inputValue()).toContain('And more.');
  await settled(page);
  expect(await barriers(page)).toEqual([]);
  await picture(page, 'pages/edit-light-1440');
  await passOn(page, () => press(page, 'Control+Enter'));
  await page.getByText('Task 10 is submitted.').waitFor();
  expect((await onlyRanking(ada, task)).edited).toEqual({
    output: task.outputs[0]!.id,
    text: expect.stringContaining('And more.')
  });
  const { body } = await callAs<{ items: Pair[] }>(ada, 'GET', `/projects/${demo}/pairs?task=${task.id}`);
  expect(body.items).toContainEqual(
    expect.objectContaining({ chosen: expect.objectContaining({ edited: true }) })
  );
});

test('words that are marked get a remark with a category; without a mouse a sentence does', async () => {
  const project = await pairs({});
  const task = await taskOf(bo, project.id, 6);
  const page = await open(bo, task);
  const { id } = task.outputs.find(({ text }) => text.startsWith(LEFT))!;
  const card = page.locator(`[data-output="${id}"]`);
  await card.locator('header').click();
  await card.locator('.text').evaluate((element) => {
    const text = [...element.childNodes].find((node) => node instanceof Text && node.length > 0)!;
    const at = text.textContent!.indexOf('effusion 🫁');
    getSelection()!.setBaseAndExtent(text, at, text, at + 'effusion 🫁'.length);
  });
  await press(page, 'm');
  const dialog = page.getByRole('dialog');
  expect(await dialog.locator('blockquote').innerText()).toBe('effusion 🫁');
  await dialog.getByRole('button', { name: 'Hallucination' }).click();
  await dialog.getByLabel('Your words').fill('There is none.');
  expect(await barriers(page)).toEqual([]);
  await dialog.getByRole('button', { name: 'Add the remark' }).click();
  expect(await card.locator('mark').innerText()).toBe('effusion 🫁');
  await page.evaluate(() => getSelection()!.removeAllRanges());
  await press(page, 'm');
  await dialog.getByRole('button', { name: 'The heart is of normal size.' }).click();
  await dialog.getByRole('button', { name: 'Wrong finding' }).click();
  await picture(page, 'pages/remark-light-1440');
  await dialog.getByRole('button', { name: 'Add the remark' }).click();
  expect(await card.locator('.text').innerText()).toBe(`${LEFT} (6)`);
  await saved(page);
  await page.reload();
  await saved(page);
  expect(await card.locator('mark').allInnerTexts()).toEqual(['effusion 🫁', 'The heart is of normal size.']);
  await picture(page, 'pages/remarks-light-1440');
  await card.getByRole('button', { name: 'Remove the remark: Wrong finding' }).click();
  await passOn(page, () => press(page, 'x'));
  await page.getByText('Task 6 is submitted.').waitFor();
  const [start, end] = [LEFT.indexOf('effusion 🫁'), LEFT.indexOf('effusion 🫁') + 'effusion 🫁'.length];
  expect((await onlyRanking(bo, task)).spans).toEqual([
    { ...{ output: id, start, end, category: 'Hallucination' }, text: 'There is none.', quote: 'effusion 🫁' }
  ]);
});

test('a draft is thrown away and brought back; a skip is taken back; each says what it is', async () => {
  const task = await taskOf(ada, demo, 11);
  const page = await open(ada, task);
  await press(page, '2', '1');
  await page.getByLabel('Comment').fill('Half a thought');
  await saved(page);
  const left = await rows(page);
  await page.getByRole('button', { name: 'Discard draft' }).click();
  await page.getByText('Your draft of task 11 is thrown away.').waitFor();
  expect((await rows(page)).flat()).toEqual([]);
  expect(await page.getByLabel('Comment').inputValue()).toBe('');
  await page.getByRole('button', { name: 'Undo', exact: true }).last().click();
  expect(await rows(page)).toEqual(left);
  expect(await page.getByLabel('Comment').inputValue()).toBe('Half a thought');
  await saved(page);
  await page.locator('h1').click();
  await passOn(page, () => press(page, 's'));
  await page.getByText('Task 11 is skipped').waitFor();
  await page.getByRole('button', { name: 'Undo', exact: true }).last().click();
  await page.waitForURL(`**/${task.id}`);
  await saved(page);
  expect(await rows(page)).toEqual(left);
});

test('who switches single keys off is not surprised by one, and has every control on the page', async () => {
  const page = await open(ada, await taskOf(ada, demo, 12));
  await press(page, '?');
  await page.getByRole('dialog').getByLabel('Single-key shortcuts').uncheck();
  await press(page, 'Escape', '1', 's');
  await page.waitForTimeout(300);
  expect((await rows(page)).flat()).toEqual([]);
  expect(page.url()).toContain((await taskOf(ada, demo, 12)).id);
  await press(page, '?');
  await page.getByRole('dialog').getByLabel('Single-key shortcuts').check();
  await press(page, 'Escape', '1');
  expect((await rows(page)).flat()).toEqual(['A']);
  expect(ada.complaints).toEqual([]);
});
