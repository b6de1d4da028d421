import type { AddressInfo } from 'node:net';
import * as Y from 'yjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPage, roomApp, type Page, type RoomApp } from '../../server/rooms/testing-room.ts';
import { plug, type Wire } from './proxy.ts';
import { scaled } from './scale.ts';

// F9: a ward's Wi-Fi. Every frame is late, lines are cut, and for a while nothing arrives and nobody is told.

let t: RoomApp;
let wire: Wire;
beforeAll(async () => {
  t = await roomApp();
  wire = await plug((t.server.address() as AddressInfo).port);
});
afterAll(async () => {
  wire.close();
  await t.close();
});

const PEOPLE = 3;
const WRITES_MS = scaled(5_000, 60_000);
const FROZEN_MS = scaled(4_000, 30_000);
const BACK_MS_MAX = 10_000;
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function folded(room: string): Promise<Y.Doc> {
  const doc = new Y.Doc();
  const rows = await t.sql('select bytes from room_log where room = $1 order by seq', [room]);
  for (const { bytes } of rows) Y.applyUpdate(doc, new Uint8Array(bytes));
  return doc;
}

const shown = (doc: Y.Doc) => ({
  ranks: doc.getMap('ranks').toJSON(),
  note: doc.getText('note').toString()
});

/** Edits, deletes and waits to be told "saved", again and again; counts the times it was told so too early. */
async function work(page: Page, room: string, outputs: string[], over: () => boolean) {
  const { doc, ranks } = page;
  let early = 0;
  let saved = 0;
  for (let n = 0; !over(); n++) {
    const output = outputs[n % outputs.length]!;
    if (n % 4 === 3) ranks.delete(output);
    else ranks.set(output, Math.random());
    doc.getText('note').insert(0, 'x');
    const mine = Y.encodeStateAsUpdate(doc);
    const isOver = await Promise.race([page.saved().then(() => false), untilOver(over)]);
    if (isOver) break;
    saved++;
    const disk = await folded(room);
    disk.on('update', () => early++);
    Y.applyUpdate(disk, mine);
  }
  return { early, saved };
}

async function untilOver(over: () => boolean): Promise<boolean> {
  while (!over()) await pause(20);
  return true;
}

test.each<[string, () => void]>([
  ['200 ms late, give or take 100', () => wire.delay(150, 100)],
  ['16 KiB a second and 100 ms late', () => (wire.delay(80, 40), wire.throttle(16_384))]
])('a network that is %s, cut and frozen loses nothing', { timeout: 400_000 }, async (_, make) => {
  const project = await t.project({ mode: 'open', overlap: PEOPLE });
  const { id, outputs } = await t.task(project);
  const room = `table/${id}`;
  make();
  const url = `ws://127.0.0.1:${wire.port}/yjs`;
  const people = await Promise.all(Array.from({ length: PEOPLE }, () => t.member(project, 'reviewer')));
  const pages = await Promise.all(people.map(({ token }) => openPage(url, room, token)));
  let over = false;
  const working = pages.map((page) => work(page, room, outputs, () => over));

  await pause(WRITES_MS / 2);
  wire.cut();
  await pause(WRITES_MS / 2);
  wire.freeze();
  await pause(FROZEN_MS);
  wire.heal();
  const healed = performance.now();
  await pause(200);
  while (!pages.every(({ provider }) => provider.synced) && performance.now() - healed < BACK_MS_MAX * 2)
    await pause(20);
  const back = performance.now() - healed;
  over = true;
  const accounts = await Promise.all(working);
  await Promise.all(pages.map((page) => page.saved()));
  const log = shown(await folded(room));
  await expect
    .poll(() => pages.map(({ doc }) => shown(doc)), { timeout: 5_000 })
    .toEqual(pages.map(() => log));

  const saved = accounts.reduce((sum, one) => sum + one.saved, 0);
  console.log(`${saved} times told "saved"; back ${back.toFixed(0)} ms after the network was`);
  expect(accounts.map(({ early }) => early)).toEqual(pages.map(() => 0));
  expect(saved).toBeGreaterThan(PEOPLE * 5);
  expect(back).toBeLessThan(BACK_MS_MAX);
  for (const page of pages) page.destroy();
  wire.delay(0);
  wire.throttle(0);
});
