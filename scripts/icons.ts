// Draws the app's icons for phones and tablets from static/icon.svg:  node scripts/icons.ts
import { readFile, writeFile } from 'node:fs/promises';
import { openBrowser } from '../tests/e2e/people.ts';

const svg = await readFile('static/icon.svg', 'utf8');
// Masks cut a circle of four fifths, and phones put their own round corners on a full square.
const full = svg.replace('rx="7" ', '');
const browser = await openBrowser();
const page = await browser.newPage();
for (const [name, size, drawing, room] of [
  ['icon-180', 180, full, 0],
  ['icon-192', 192, svg, 0],
  ['icon-512', 512, svg, 0],
  ['icon-maskable-512', 512, full, 0.1]
] as const) {
  await page.setViewportSize({ width: size, height: size });
  await page.setContent(
    `<style>body{margin:0;background:${room ? '#0f5e63' : 'transparent'};padding:${room * size}px}svg{display:block;width:${size * (1 - 2 * room)}px}</style>${drawing}`
  );
  await writeFile(`static/${name}.png`, await page.screenshot({ omitBackground: true }));
}
await browser.close();
