import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { limits } from '../../server/limits.ts';
import { pick, randomFrom, scaled } from '../faults/scale.ts';
import { logged, openPage, pageOf, pause, roomApp, sceneOn, type Page, type Scene } from './scene.ts';

// A step of the door that locks out an honest client is wrong. These are y-websocket's and y-protocols' own clients,
// busier than people are; none of them may ever be closed, and all of their edits must arrive.

let t: Scene['t'];
let scene: Scene;
beforeAll(async () => {
  t = await roomApp();
});
beforeEach(async () => {
  scene = await sceneOn(t);
});
afterAll(() => t.close());

/** Times that a page lost its connection. */
function losses({ provider }: Page): () => number {
  let count = 0;
  provider.on('connection-close', () => count++);
  return () => count;
}

async function foldedLog(room = scene.table) {
  const doc = new Y.Doc();
  for (const row of await logged(scene, room)) Y.applyUpdate(doc, row);
  return { ranks: doc.getMap('ranks').toJSON(), note: doc.getText('note').toString() };
}

const shown = ({ doc }: Page) => ({
  ranks: doc.getMap('ranks').toJSON(),
  note: doc.getText('note').toString()
});

test('forty edits a second while the pointer moves sixty times a second, beside somebody who does the same', async () => {
  const pages = [await pageOf(scene, scene.ada), await pageOf(scene, scene.eve)];
  const lost = pages.map(losses);
  const seconds = scaled(4, 20);
  for (let n = 0; n < seconds * 60; n++) {
    for (const { ranks, provider } of pages) {
      if (n % 3 < 2) ranks.set(pick(Math.random, scene.task.outputs), Math.random());
      provider.awareness.setLocalState({ output: pick(Math.random, scene.task.outputs) });
    }
    await pause(1_000 / 60);
  }
  await Promise.all(pages.map((page) => page.saved()));
  await expect.poll(() => shown(pages[0]!)).toEqual(shown(pages[1]!));
  expect(await foldedLog()).toEqual(shown(pages[0]!));
  expect(lost.map((count) => count())).toEqual([0, 0]);
  for (const page of pages) page.destroy();
});

test('everything that Yjs can do to such a document, in every order', async () => {
  const random = randomFrom(7);
  const pages = [
    await pageOf(scene, scene.ada),
    await pageOf(scene, scene.ada),
    await pageOf(scene, scene.eve)
  ];
  const lost = pages.map(losses);
  const undo = pages.map(
    ({ doc, ranks }) => new Y.UndoManager([ranks, doc.getText('note')], { captureTimeout: 0 })
  );
  let note = 0;
  for (let n = 0; n < scaled(400, 5_000); n++) {
    const at = Math.floor(random() * pages.length);
    const { doc, ranks, provider } = pages[at]!;
    const text = doc.getText('note');
    const place = Math.floor(random() * (text.length + 1));
    pick(random, [
      () => ranks.set(pick(random, scene.task.outputs), random()),
      () => ranks.delete(pick(random, scene.task.outputs)),
      () => text.insert(place, pick(random, ['a', 'mass in the left lobe ', '😀é\u0000', 'x'.repeat(50)])),
      () => text.delete(place, Math.min(text.length - place, Math.floor(random() * 30))),
      () => undo[at]!.undo(),
      () => undo[at]!.redo(),
      () =>
        doc.transact(() => {
          for (const output of scene.task.outputs) ranks.set(output, ++note);
          text.insert(0, 'y');
          text.delete(0, 1);
        }),
      () =>
        doc
          .getMap('ratings')
          .set(`c${Math.floor(random() * 9)}/${scene.task.outputs[0]}`, pick(random, [1, 'yes', true])),
      () => random() < 0.2 && (provider.disconnect(), provider.connect())
    ])();
    await pause(random() < 0.1 ? 60 : 8);
  }
  const voluntary = lost.map((count) => count());
  await expect.poll(() => pages.every(({ provider }) => provider.synced), { timeout: 10_000 }).toBe(true);
  await Promise.all(pages.map((page) => page.saved()));
  await expect.poll(() => pages.map(shown)).toEqual(Array(3).fill(shown(pages[0]!)));
  expect(await foldedLog()).toEqual(shown(pages[0]!));
  expect(lost.map((count) => count())).toEqual(voluntary);
  expect(pages.every(({ provider }) => provider.shouldConnect)).toBe(true);
  for (const page of pages) page.destroy();
}, 300_000);

test('a long afternoon offline arrives in one frame', async () => {
  const page = await pageOf(scene, scene.ada);
  const lost = losses(page);
  page.provider.disconnect();
  for (let n = 0; n < 4_000; n++) page.ranks.set(scene.task.outputs[n % 3]!, n);
  const note = page.doc.getText('note');
  for (let n = 0; n < 3_000; n++) note.insert(n % 2 ? 0 : note.length, 'x');
  note.delete(100, 1_000);
  note.insert(5, 'y'.repeat(10_000));
  page.provider.connect();
  await page.saved();
  expect(await foldedLog()).toEqual(shown(page));
  expect(lost()).toBe(1);
  page.destroy();
});

test('moves of one card that can be taken back stay in one piece, also when they arrive together', async () => {
  const page = await pageOf(scene, scene.ada);
  const lost = losses(page);
  // It keeps what was overwritten, and Yjs then sends neighbours as one struct of several values.
  const undo = new Y.UndoManager(page.ranks, { captureTimeout: 0 });
  page.provider.disconnect();
  for (let n = 0; n < 50; n++) page.ranks.set(scene.task.outputs[0]!, n);
  page.provider.connect();
  await page.saved();
  undo.undo();
  await page.saved();
  expect(await foldedLog()).toEqual(shown(page));
  expect(page.ranks.get(scene.task.outputs[0]!)).toBe(48);
  expect(lost()).toBe(1);
  page.destroy();
});

test('two devices of one person that were both offline for long merge', async () => {
  const [a, b] = [await pageOf(scene, scene.ada), await pageOf(scene, scene.ada)];
  for (const { provider } of [a, b]) provider.disconnect();
  for (const { ranks, doc } of [a, b])
    for (let n = 0; n < 1_000; n++) {
      ranks.set(scene.task.outputs[n % 3]!, n);
      doc.getText('note').insert(0, 'x');
    }
  for (const { provider } of [a, b]) provider.connect();
  await Promise.all([a.saved(), b.saved()]);
  await expect.poll(() => shown(a)).toEqual(shown(b));
  expect(await foldedLog()).toEqual(shown(a));
  for (const page of [a, b]) page.destroy();
});

test('a page that is reloaded again and again is let in every time', async () => {
  for (let n = 0; n < 20; n++) {
    const page = await pageOf(scene, scene.ada);
    expect(page.clientId).not.toBeNull();
    await page.saved();
    page.destroy();
  }
});

test('a line that drops and returns ten times in a row is no attack', async () => {
  const page = await pageOf(scene, scene.ada);
  for (let n = 0; n < 10; n++) {
    page.provider.disconnect();
    page.ranks.set(scene.task.outputs[0]!, n);
    page.provider.connect();
    await page.saved();
  }
  expect((await foldedLog()).ranks).toEqual({ [scene.task.outputs[0]!]: 9 });
  page.destroy();
});

test('a client that never heard of our two messages may look on for as long as it likes', async () => {
  const doc = new Y.Doc();
  const { token } = scene.eve;
  class Socket extends WebSocket {
    constructor(address: string) {
      super(address, { headers: { authorization: `Bearer ${token}` } });
    }
  }
  const stock = new WebsocketProvider(t.url, scene.table, doc, {
    WebSocketPolyfill: Socket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
    resyncInterval: 600
  });
  let lost = 0;
  stock.on('connection-close', () => lost++);
  const page = await pageOf(scene, scene.ada);
  for (let n = 0; n < 30; n++) {
    page.ranks.set(scene.task.outputs[0]!, n);
    stock.awareness.setLocalStateField('cursor', { at: n });
    await pause(50);
  }
  await page.saved();
  await expect.poll(() => doc.getMap('ranks').toJSON()).toEqual(shown(page).ranks);
  await expect
    .poll(() => [...page.provider.awareness.getStates().keys()])
    .toContain(stock.awareness.clientID);
  expect(lost).toBe(0);
  stock.destroy();
  page.destroy();
});

test('two windows that pass edits to each other first, and to the server in any order', async () => {
  const [a, b] = [await pageOf(scene, scene.ada), await pageOf(scene, scene.ada)];
  await Promise.all([a.saved(), b.saved()]);
  // As y-websocket does through the browser's own channel: under the provider's name, so that it is not sent twice.
  const hold: Uint8Array[] = [];
  a.doc.on('update', (update: Uint8Array, origin: unknown) => {
    if (origin !== a.provider) Y.applyUpdate(b.doc, update, b.provider);
  });
  const send = a.provider.ws!.send.bind(a.provider.ws!);
  a.provider.ws!.send = (frame: any) => void hold.push(frame);
  a.doc.getText('note').insert(0, 'first ');
  b.doc.getText('note').insert(6, 'second');
  await pause(100);
  expect(await foldedLog()).toEqual({ ranks: {}, note: '' });
  for (const frame of hold) send(frame as never);
  a.provider.ws!.send = send;
  await b.saved();
  expect((await foldedLog()).note).toBe('first second');
  for (const page of [a, b]) page.destroy();
});

test('as many pages as a room holds, all awake, are all served', async () => {
  const people = await Promise.all(Array.from({ length: 16 }, () => t.member(scene.project, 'reviewer')));
  const seats = limits.rooms.sockets_per_user_and_room_max;
  const pages = (
    await Promise.all(
      people.map((one) =>
        Promise.all(Array.from({ length: seats }, () => openPage(t.url, scene.table, one.token)))
      )
    )
  ).flat();
  const lost = pages.map(losses);
  for (let n = 0; n < 3; n++)
    for (const { ranks, provider } of pages) {
      ranks.set(pick(Math.random, scene.task.outputs), Math.random());
      provider.awareness.setLocalState({ output: pick(Math.random, scene.task.outputs) });
    }
  await Promise.all(pages.map((page) => page.saved()));
  await expect.poll(() => pages.map(shown)).toEqual(pages.map(() => shown(pages[0]!)));
  expect(lost.reduce((sum, count) => sum + count(), 0)).toBe(0);
  for (const page of pages) page.destroy();
});
