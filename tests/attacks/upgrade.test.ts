import { connect as connectTcp, type AddressInfo, type Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { limits } from '../../server/limits.ts';
import { plug } from '../faults/proxy.ts';
import {
  attackerOf,
  bearer,
  isOpen,
  knock,
  pause,
  rawSocket,
  roomApp,
  sceneOn,
  type Scene
} from './scene.ts';

// Step 1 of the door: who it is, from which site, into which room, and how many.

let scene: Scene;
let cookie: string;
beforeAll(async () => {
  const t = await roomApp();
  cookie = await signUp(t);
  scene = await sceneOn(t);
  const [{ id }] = await t.sql('select id from "user" where email = $1', ['site@example.org']);
  await t.sql("insert into member (project_id, user_id, role) values ($1, $2, 'reviewer')", [
    scene.project,
    id
  ]);
});
afterAll(() => scene.t.close());

async function signUp({ app }: Scene['t']): Promise<string> {
  const body = JSON.stringify({ email: 'site@example.org', name: 'Site', password: 'correct horse battery' });
  const url = `${app.config.origin}/api/auth/sign-up/email`;
  const headers = { 'content-type': 'application/json', origin: app.config.origin };
  const answer = await app.authentication(new Request(url, { method: 'POST', headers, body }));
  return answer.headers.getSetCookie()[0]!.split(';')[0]!;
}

const { sockets_per_room_max, sockets_per_user_and_room_max, sockets_per_user_max } = limits.rooms;
const seats = (headers: Record<string, string>, count: number, room = scene.table) =>
  Promise.all(Array.from({ length: count }, () => rawSocket(scene.t.url, room, headers)));

/** How many of them are in a moment later; the codes of the others. */
async function settled(sockets: Awaited<ReturnType<typeof seats>>) {
  await Promise.all(
    sockets.map(({ received, closed }) => (received.length ? null : Promise.race([closed, pause(2_000)])))
  );
  const shut = sockets.filter(({ socket }) => !isOpen(socket));
  return { open: sockets.length - shut.length, codes: await Promise.all(shut.map(({ closed }) => closed)) };
}

async function leave(sockets: Awaited<ReturnType<typeof seats>>) {
  for (const { socket } of sockets) socket.terminate();
  await Promise.all(sockets.map(({ closed }) => closed));
  await pause(50);
}

test('A16: a page of another site finds the door shut, though the cookie goes along', async () => {
  const ours = scene.t.app.config.origin;
  const code = (origin?: string) => knock(scene.t.url, scene.table, { cookie, ...(origin && { origin }) });
  expect(await code(ours)).toBe('open');
  const foreign = [
    'https://evil.example',
    'null',
    `${ours}.evil.example`,
    `https${ours.slice(4)}`,
    `${ours}/`
  ];
  expect(await Promise.all([code(), ...foreign.map(code)])).toEqual([4403, 4403, 4403, 4403, 4403, 4403]);
});

test('who is nobody, or nobody here, is told nothing but that', async () => {
  const stranger = await scene.t.member(await scene.t.project(), 'owner');
  const codes: Record<string, string>[] = [
    {},
    { authorization: 'Bearer wrong' },
    { cookie: 'concord.session_token=forged' },
    bearer(stranger)
  ];
  expect(await Promise.all(codes.map((headers) => knock(scene.t.url, scene.table, headers)))).toEqual([
    4401, 4401, 4401, 4403
  ]);
});

test('one person gets three sockets in a room, also when ten knock at once', async () => {
  const ten = await seats(bearer(scene.eve), 10);
  const { open, codes } = await settled(ten);
  expect(open).toBe(sockets_per_user_and_room_max);
  expect(new Set(codes)).toEqual(new Set([4529]));
  expect(await knock(scene.t.url, scene.table, bearer(scene.ada))).toBe('open');
  await leave(ten);
  expect(await knock(scene.t.url, scene.table, bearer(scene.eve))).toBe('open');
});

test('a room holds fifty sockets', async () => {
  const task = await scene.t.task(scene.project);
  const count = Math.ceil(sockets_per_room_max / sockets_per_user_and_room_max);
  const people = await Promise.all(
    Array.from({ length: count }, () => scene.t.member(scene.project, 'reviewer'))
  );
  const room = `table/${task.id}`;
  const all = (
    await Promise.all(people.map((one) => seats(bearer(one), sockets_per_user_and_room_max, room)))
  ).flat();
  expect((await settled(all)).open).toBe(sockets_per_room_max);
  await leave(all);
});

test('one person cannot take the whole house', async () => {
  const count = Math.ceil((sockets_per_user_max + 1) / sockets_per_user_and_room_max);
  const rooms = await Promise.all(Array.from({ length: count }, () => scene.t.task(scene.project)));
  const all = (
    await Promise.all(
      rooms.map(({ id }) => seats(bearer(scene.eve), sockets_per_user_and_room_max, `table/${id}`))
    )
  ).flat();
  expect((await settled(all)).open).toBe(sockets_per_user_max);
  expect(await knock(scene.t.url, scene.table, bearer(scene.ada))).toBe('open');
  await leave(all);
});

test('sockets whose line was cut make room for the person who comes back', async () => {
  const wire = await plug((scene.t.server.address() as AddressInfo).port);
  const url = `ws://127.0.0.1:${wire.port}/yjs`;
  const dead = await Promise.all(
    Array.from({ length: sockets_per_user_and_room_max }, () =>
      rawSocket(url, scene.table, bearer(scene.eve))
    )
  );
  expect((await settled(dead)).open).toBe(sockets_per_user_and_room_max);
  wire.freeze();
  expect(await knock(scene.t.url, scene.table, bearer(scene.eve))).toBe('open');
  wire.close();
});

test('a handshake that goes wrong keeps no seat', async () => {
  const { port } = scene.t.server.address() as AddressInfo;
  const lines = [
    `GET /yjs/${scene.table} HTTP/1.1`,
    'Host: localhost',
    `Authorization: Bearer ${scene.eve.token}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    'Sec-WebSocket-Version: 7'
  ];
  const answers = await Promise.all(
    Array.from({ length: 12 }, () => {
      const line = connectTcp(port, '127.0.0.1', () => line.write(`${lines.join('\r\n')}\r\n\r\n`));
      return new Promise<string>((resolve) => {
        let text = '';
        line.on('data', (data) => (text += data.toString()));
        line.on('close', () => resolve(text));
      });
    })
  );
  expect(answers.filter((text) => text.startsWith('HTTP/1.1 400')).length).toBe(12);
  await pause(50);
  expect(await knock(scene.t.url, scene.table, bearer(scene.eve))).toBe('open');
});

/** A line that shook hands for a socket without saying who it is, and never answers the close frame. */
async function stranger(): Promise<Socket> {
  const { port } = scene.t.server.address() as AddressInfo;
  const lines = [
    `GET /yjs/${scene.table} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    'Sec-WebSocket-Version: 13'
  ];
  const line = connectTcp(port, '127.0.0.1', () => line.write(`${lines.join('\r\n')}\r\n\r\n`));
  line.on('error', () => {});
  await new Promise((resolve) => line.once('data', resolve));
  return line.resume();
}

test('whoever is turned away does not linger', async () => {
  const started = performance.now();
  const line = await stranger();
  await new Promise((resolve) => line.on('close', resolve));
  expect(performance.now() - started).toBeLessThan((limits.rooms.stranger_seconds_max + 2) * 1_000);
});

function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
}

test('of what somebody sends who was turned away next to nothing is kept', async () => {
  const [MEBI, HEADER] = [1_048_576, Buffer.from([0x82, 0xff, 0, 0, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4])];
  const pieces = Array<Buffer>(8).fill(Buffer.alloc(MEBI));
  const line = await stranger();
  const before = process.memoryUsage().arrayBuffers;
  line.write(HEADER);
  for (const piece of pieces) await new Promise((resolve) => line.write(piece, resolve));
  await pause(200);
  collectGarbage();
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 * MEBI);
  line.destroy();
});

test('the door opens for who may come in, attack or not', async () => {
  const attacker = await attackerOf(scene);
  expect(await knock(scene.t.url, scene.table, { cookie, origin: scene.t.app.config.origin })).toBe('open');
  attacker.socket.terminate();
});
