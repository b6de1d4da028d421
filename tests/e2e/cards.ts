import type { Page } from 'playwright-core';

/** A card of the ranking on the page, by its letter. */
export const chip = (page: Page, letter: string) =>
  page.locator('[data-chip]', { hasText: new RegExp(`^\\s*${letter}\\b`) }).first();

/** Takes a card in hand and holds it over a place; the answer lets go. */
export async function carry(page: Page, letter: string, slot: object): Promise<() => Promise<void>> {
  const from = (await chip(page, letter).boundingBox())!;
  await page.mouse.move(from.x + 12, from.y + from.height / 2);
  await page.mouse.down();
  await page.mouse.move(from.x + 20, from.y - 10, { steps: 3 });
  const to = (await page.locator(`[data-slot='${JSON.stringify(slot)}']`).boundingBox())!;
  await page.mouse.move(to.x + to.width / 2, to.y + to.height / 2, { steps: 6 });
  return () => page.mouse.up();
}
