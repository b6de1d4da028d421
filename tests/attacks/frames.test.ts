import { EventEmitter } from 'node:events';
import type { WebSocket } from 'ws';
import * as Y from 'yjs';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { Bucket } from '../../server/rooms/bucket.ts';
import { createConnection } from '../../server/rooms/connection.ts';
import { loadRoom } from '../../server/rooms/room.ts';
import { limits } from '../../server/limits.ts';
import {
  attackerOf,
  awareness,
  forged,
  gap,
  isOpen,
  logged,
  pageOf,
  pause,
  roomApp,
  sceneOn,
  step1,
  syncFrame,
  updateBy,
  type Attacker,
  type Scene
} from './scene.ts';

// Steps 2 and 3 of the door: how large, how fast, how slow a reader, and of what kind.

let t: Scene['t'];
let scene: Scene;
beforeAll(async () => {
  t = await roomApp();
});
beforeEach(async () => {
  scene = await sceneOn(t);
});
afterAll(() => t.close());

const { rooms } = limits;
/** A small frame that says nothing new. */
function idle(): Uint8Array {
  return syncFrame(2, Uint8Array.of(0, 0));
}

async function codeAfter(attack: (attacker: Attacker) => void): Promise<number> {
  const attacker = await attackerOf(scene);
  await attacker.clientId();
  attack(attacker);
  return attacker.closed;
}

test('a frame over the limit ends the socket, one at the limit is read', async () => {
  expect(await codeAfter(({ socket }) => socket.send(new Uint8Array(rooms.frame_bytes_max + 1)))).toBe(4413);
  expect(await codeAfter(({ socket }) => socket.send(new Uint8Array(rooms.frame_bytes_max)))).toBe(4400);
});

test('a frame in ten thousand pieces is no way around the limit', async () => {
  const piece = new Uint8Array(64);
  const code = await codeAfter(({ socket }) => {
    for (let n = 0; n < rooms.frame_bytes_max / 64 + 1; n++) socket.send(piece, { fin: false });
  });
  expect([4413, 1006]).toContain(code);
});

test.each([
  ['text', 'sync'],
  ['nothing', new Uint8Array()],
  ['an unknown type', Uint8Array.of(9)],
  ['an unknown type with something in it', Uint8Array.of(9, 0)],
  ["the server's own type", Uint8Array.of(100, 0, 0)],
  ['an unknown step', Uint8Array.of(0, 7, 0)],
  ['a length beyond the frame', Uint8Array.of(0, 2, 200, 200, 200, 1)],
  ['a type of eleven bytes', Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255)],
  ['a rest behind the message', Uint8Array.of(...idle(), 0)],
  ['presence that ends in the middle', awareness([{ client: 1, clock: 1, state: '{}' }]).slice(0, -1)]
])('%s is no frame', async (_, data) => {
  expect(await codeAfter(({ socket }) => socket.send(data))).toBe(4400);
});

test('an update in the second format, whose run lengths can hang its reader, is refused by its looks', async () => {
  const attacker = await attackerOf(scene);
  const client = await attacker.clientId();
  const update = updateBy(client, (doc) => doc.getMap('ranks').set(scene.task.outputs[0]!, 1));
  attacker.update(Y.convertUpdateFormatV1ToV2(update));
  expect(await attacker.closed).toBe(4400);
  // yjs#687: a run of 2^53 clients in a few bytes.
  const bomb = Uint8Array.of(0, 0, 6, 255, 255, 255, 255, 255, 255, 255, 15, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0);
  expect(await codeAfter((second) => second.update(bomb))).toBe(4400);
  expect(await logged(scene)).toEqual([]);
});

test.each([
  ['frames', idle(), rooms.frames_per_second * 3 + 30],
  ['bytes', awareness([{ client: 5, clock: 1, state: ' '.repeat(200_000) }]), 9],
  ['presence', awareness([{ client: 5, clock: 1, state: '{}' }]), rooms.presence_frames_per_second * 3 + 60],
  ['questions for the whole document', step1(), rooms.syncs_per_second * 3 + 2]
])('too many %s at once: come back later', async (_, frame, count) => {
  const code = await codeAfter(({ socket }) => {
    for (let n = 0; n < count; n++) socket.send(frame);
  });
  expect(code).toBe(4529);
});

test('a flood of pings is answered by the end of the socket', async () => {
  const { socket, closed } = await attackerOf(scene);
  let shut = false;
  void closed.then(() => (shut = true));
  // In handfuls: ws itself ends a socket that sends many before it could answer.
  for (let n = 0; n < 1_000 && !shut; n += 10) {
    for (let i = 0; i < 10; i++) socket.ping();
    await pause(5);
  }
  expect(await closed).toBe(4529);
});

test('a person whose frames take too much time has to come back later, on every socket', async () => {
  const room = await loadRoom(scene.table, {
    ...{ updates: [], lastSeq: 0, clients: new Map([[7, scene.eve.id]]) },
    outputs: new Set(scene.task.outputs)
  });
  const spent = new Bucket(rooms.work_ms_per_second, rooms.work_ms_burst);
  const { socket, closed } = fakeSocket();
  open(socket, room, spent);
  socket.emit('message', Buffer.from(idle()), true);
  expect(closed()).toBeNull();
  spent.spend(rooms.work_ms_burst + 1);
  socket.emit('message', Buffer.from(idle()), true);
  expect(closed()).toBe(4529);
  room.destroy();
});

test('a page that does not read is let go before it fills the memory', async () => {
  const room = await loadRoom(scene.table, {
    ...{ updates: [], lastSeq: 0, clients: new Map([[7, scene.eve.id]]) },
    outputs: new Set(scene.task.outputs)
  });
  const { socket, closed } = fakeSocket();
  const connection = open(socket, room);
  const frame = new Uint8Array(100_000);
  let sent = 0;
  while (closed() === null && sent < 2 * rooms.buffered_bytes_max) {
    connection.send(frame);
    sent += frame.length;
  }
  expect(closed()).toBe(4529);
  expect(socket.terminated).toBe(true);
  expect(sent).toBeLessThanOrEqual(rooms.buffered_bytes_max + 2 * frame.length);
  room.destroy();
});

test('who may only look changes nothing: not by an edit, not by a deletion, and the table goes on', async () => {
  const viewer = await t.member(scene.project, 'viewer');
  const [a, b] = [await pageOf(scene, scene.ada), await pageOf(scene, scene.eve)];
  const [first, second] = scene.task.outputs as [string, string];
  a.ranks.set(first, 1);
  await a.saved();
  const base = Y.encodeStateAsUpdate(a.doc);

  const deleter = await attackerOf(scene, viewer);
  const client = await deleter.clientId();
  deleter.update(updateBy(client, (doc) => doc.getMap('ranks').delete(first), base));
  expect(await deleter.closed).toBe(4403);
  const writer = await attackerOf(scene, viewer);
  const own = await writer.clientId();
  writer.update(updateBy(own, (doc) => doc.getMap('ranks').set(first, 2), base));
  expect(await writer.closed).toBe(4403);

  const reader = await attackerOf(scene, viewer);
  reader.update(base);
  reader.socket.send(step1());
  b.ranks.set(second, 2);
  await b.saved();
  await expect.poll(() => a.ranks.toJSON()).toEqual({ [first]: 1, [second]: 2 });
  expect(isOpen(reader.socket)).toBe(true);
  expect((await logged(scene)).length).toBe(2);
  for (const one of [a, b]) one.destroy();
  reader.socket.terminate();
});

test('frames that wait for edits which never come are kept up to a limit', async () => {
  const attacker = await attackerOf(scene);
  const client = await attacker.clientId();
  // Each begins where the one before has ended; the very first edits are missing.
  const count = 60_000;
  const early = (n: number) => forged([{ client, clock: 10 + n * count, count, struct: gap(1) }]);
  for (let n = 0; n * early(0).length <= rooms.held_bytes_max; n++) attacker.update(early(n));
  expect(await attacker.closed).toBe(4529);
  expect(await logged(scene)).toEqual([]);
});

type Room = Awaited<ReturnType<typeof loadRoom>>;

/** A socket whose other end reads nothing. */
function fakeSocket() {
  let code: number | null = null;
  const socket = Object.assign(new EventEmitter(), {
    bufferedAmount: 0,
    terminated: false,
    send: (frame: Uint8Array) => void (socket.bufferedAmount += frame.length),
    close: (given: number) => void (code = given),
    terminate: () => void (socket.terminated = true),
    ping() {}
  });
  return { socket, closed: () => code };
}

function open(socket: EventEmitter, room: Room, work = new Bucket(1_000, 1_000)) {
  const actor = { ...scene.eve, name: 'Eve', email: '', instanceOwner: false };
  const via = { kind: 'session', id: 'x' } as const;
  const entry = {
    ...{ name: { kind: 'table', task: scene.task.id } as const, right: 'write' as const },
    ...{ role: 'reviewer' as const, projectId: scene.project },
    ...{ outputs: new Set(scene.task.outputs), presenceKeys: new Set<string>() }
  };
  const visit = { actor: { ...actor, via }, entry, room, clientId: 7, work };
  return createConnection(socket as unknown as WebSocket, visit, {
    append() {},
    tryElsewhere: async () => {}
  });
}
