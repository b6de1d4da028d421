import * as decoding from 'lib0/decoding';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { limits } from '../../server/limits.ts';
import {
  attackerOf,
  awareness,
  isOpen,
  openPage,
  pageOf,
  pause,
  roomApp,
  sceneOn,
  type Attacker,
  type Page,
  type Person,
  type Scene
} from './scene.ts';

// Step 8 of the door (A18): who is here is the server's word, and nobody can drown it.

let t: Scene['t'];
let scene: Scene;
let lobby: string;
let a: Page;
beforeAll(async () => {
  t = await roomApp();
});
beforeEach(async () => {
  scene = await sceneOn(t);
  lobby = `lobby/${scene.project}`;
  a = await openPage(t.url, lobby, scene.ada.token);
  return () => a.destroy();
});
afterAll(() => t.close());

const seenBy = (page: Page) => [...page.provider.awareness.getStates()];
const named = (page: Page, { id }: Person) =>
  seenBy(page).flatMap(([client, state]) => (state.user?.id === id ? [client] : []));

/** Each awareness message that came, as the client ids in it. */
function heard({ received }: Attacker): number[][] {
  return received.flatMap((frame) => {
    const decoder = decoding.createDecoder(frame);
    if (decoding.readVarUint(decoder) !== 1) return [];
    const inner = decoding.createDecoder(decoding.readVarUint8Array(decoder));
    return [
      Array.from({ length: decoding.readVarUint(inner) }, () => {
        const client = decoding.readVarUint(inner);
        decoding.readVarUint(inner);
        decoding.readVarString(inner);
        return client;
      })
    ];
  });
}

const say = (client: number, clock: number, state: object | string) =>
  awareness([{ client, clock, state: typeof state === 'string' ? state : JSON.stringify(state) }]);

test('whatever name a page gives itself, the others hear the one that the server knows', async () => {
  const eve = await attackerOf(scene, scene.eve, lobby);
  const client = await eve.clientId();
  eve.socket.send(say(client, 1, { user: { id: scene.ada.id, name: 'Ada', color: 'url(x)' }, rank: 1 }));
  await expect.poll(() => named(a, scene.eve)).toEqual([client]);
  expect(a.provider.awareness.getStates().get(client)).toEqual({ user: { id: scene.eve.id, name: 'Eve' } });
  eve.socket.terminate();
});

test('nobody speaks for somebody else, neither while they are here nor while they are away', async () => {
  const eve = await attackerOf(scene, scene.eve, lobby);
  await eve.clientId();
  const ada = a.clientId!;
  a.provider.awareness.setLocalState({ task: scene.task.id });
  await expect.poll(() => heard(eve).flat()).toContain(ada);
  eve.socket.send(say(ada, 1_000, 'null'));
  eve.socket.send(say(ada, 1_001, { task: 'elsewhere' }));
  const b = await openPage(t.url, lobby, scene.eve.token);
  await expect.poll(() => named(b, scene.ada)).toEqual([ada]);
  expect(b.provider.awareness.getStates().get(ada)).toMatchObject({ task: scene.task.id });

  a.provider.disconnect();
  await expect.poll(() => named(b, scene.ada)).toEqual([]);
  const thief = await attackerOf(scene, scene.eve, lobby);
  await thief.clientId();
  thief.socket.send(say(ada, 2_000, { task: 'elsewhere' }));
  await pause(150);
  a.provider.connect();
  await expect.poll(() => named(b, scene.ada)).toEqual([ada]);
  expect(named(b, scene.eve)).not.toContain(ada);
  for (const one of [eve, thief]) one.socket.terminate();
  b.destroy();
});

test('ten thousand states from one socket are one', async () => {
  const eve = await attackerOf(scene, scene.eve, lobby);
  const client = await eve.clientId();
  const states = Array.from({ length: 10_000 }, (_, n) => ({ client: n + 1, clock: 1, state: '{}' }));
  eve.socket.send(awareness([{ client, clock: 1, state: '{}' }, ...states]));
  await expect.poll(() => named(a, scene.eve)).toEqual([client]);
  await pause(200);
  expect(seenBy(a).filter(([id]) => id !== a.clientId).length).toBe(1);
  eve.socket.terminate();
});

test('a state over the limit is told to nobody; one in a frame over the limit ends the socket', async () => {
  const eve = await attackerOf(scene, scene.eve, lobby);
  const client = await eve.clientId();
  const padded = (length: number) => JSON.stringify({ task: scene.task.id, pad: 'ä'.repeat(length / 2) });
  eve.socket.send(say(client, 1, padded(limits.rooms.presence_bytes_max)));
  await pause(200);
  expect(named(a, scene.eve)).toEqual([]);
  eve.socket.send(say(client, 2, padded(200)));
  await expect.poll(() => named(a, scene.eve)).toEqual([client]);
  eve.socket.send(say(client, 3, padded(1_048_576)));
  expect(await eve.closed).toBe(4413);
});

test('a clock that can never be passed freezes nobody’s cursor', async () => {
  const eve = await attackerOf(scene, scene.eve, lobby);
  const client = await eve.clientId();
  for (const clock of [Number.MAX_SAFE_INTEGER, 2 ** 31]) {
    eve.socket.send(say(client, clock, { task: 'frozen' }));
    await pause(150);
  }
  for (const [clock, task] of ['here', 'there', 'home'].entries()) {
    eve.socket.send(say(client, clock + 1, { task }));
    await expect.poll(() => a.provider.awareness.getStates().get(client)?.task).toBe(task);
  }
  eve.socket.terminate();
});

test.each([
  ['no JSON', '{'],
  ['a number', '7'],
  ['a list', '[1,2]'],
  ['a task that is no name', { task: { deep: 1 } }],
  ['a long text', { task: 'x'.repeat(65) }],
  ['a prototype', '{"__proto__": {"task": "x"}, "constructor": "x"}']
])('%s says nothing but who it is', async (_, state) => {
  const eve = await attackerOf(scene, scene.eve, lobby);
  const client = await eve.clientId();
  eve.socket.send(say(client, 1, state));
  await pause(150);
  const seen = a.provider.awareness.getStates().get(client);
  expect([undefined, JSON.stringify({ user: { id: scene.eve.id, name: 'Eve' } })]).toContain(
    seen && JSON.stringify(seen)
  );
  expect(isOpen(eve.socket)).toBe(true);
  eve.socket.terminate();
});

test('a hundred changes a second reach the others as ten, and the last of them does', async () => {
  const eve = await attackerOf(scene, scene.eve, lobby);
  const listener = await attackerOf(scene, scene.ada, lobby);
  const client = await eve.clientId();
  await listener.clientId();
  await pause(150);
  const before = heard(listener).length;
  const started = performance.now();
  for (let n = 1; n <= 100; n++) {
    eve.socket.send(say(client, n, { task: `task ${n}` }));
    await pause(8);
  }
  await expect.poll(() => a.provider.awareness.getStates().get(client)?.task).toBe('task 100');
  const most = (performance.now() - started) / limits.rooms.presence_interval_ms + 2;
  expect(heard(listener).length - before).toBeLessThanOrEqual(most);
  for (const one of [eve, listener]) one.socket.terminate();
});

test('presence in a ballot says who it is and nothing else', async () => {
  const blind = await sceneOn(t, 'blind');
  const room = `ballot/${blind.task.id}/${blind.eve.id}`;
  const page = await pageOf(blind, blind.eve, room);
  const eve = await attackerOf(blind, blind.eve, room);
  const client = await eve.clientId();
  eve.socket.send(say(client, 1, { task: blind.task.id, output: blind.task.outputs[0], ranks: {} }));
  await expect
    .poll(() => page.provider.awareness.getStates().get(client))
    .toEqual({
      user: { id: blind.eve.id, name: 'Eve' }
    });
  page.destroy();
  eve.socket.terminate();
});
