import * as Y from 'yjs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pick, randomFrom, scaled } from '../faults/scale.ts';
import {
  attackerOf,
  awareness,
  forged,
  gap,
  letter,
  logged,
  pageOf,
  pause,
  roomApp,
  sceneOn,
  step1,
  syncFrame,
  updateBy,
  type Page,
  type Scene
} from './scene.ts';
import { watchStalls } from './stalls.ts';

// F11: frames that were right once and have been damaged, while others work. No crash, no stall, nothing of it kept
// that would stop the room from being read again.

const MUTANTS = scaled(400, 10_000);
const ATTACKERS = 4;
const STALL_MS_MAX = 300;
const SEED = Number(process.env.CONCORD_SEED ?? 1);

let scene: Scene;
beforeAll(async () => {
  scene = await sceneOn(await roomApp());
});
afterAll(() => scene.t.close());

/** Frames of every kind that an honest page of this client would send now. */
function healthy(client: number, base: Uint8Array): Uint8Array[] {
  const outputs = scene.task.outputs;
  const by = (change: (doc: Y.Doc) => void) => updateBy(client, change, base);
  const updates = [
    by((doc) => doc.getMap('ranks').set(outputs[0]!, Math.random())),
    by((doc) => doc.getMap('ratings').set(`clarity/${outputs[1]}`, 'acceptable')),
    by((doc) => doc.getText('note').insert(0, 'mass in the left upper lobe')),
    by((doc) => {
      const note = doc.getText('note');
      for (let n = 0; n < 40; n++) note.insert(n % 2 ? 0 : note.length, 'ab');
      note.delete(3, 20);
      for (const output of outputs) doc.getMap('ranks').set(output, 1);
    }),
    forged(
      [{ client, count: 30, struct: letter('note') }],
      [
        {
          client,
          ranges: [
            [0, 3],
            [7, 2]
          ]
        }
      ]
    ),
    forged([{ client, count: 5, struct: gap(7) }]),
    base
  ];
  return [
    ...updates.flatMap((update) => [syncFrame(2, update), syncFrame(1, update)]),
    ...[step1(), syncFrame(0, Y.encodeStateVectorFromUpdate(base))],
    awareness([{ client, clock: 3, state: JSON.stringify({ output: outputs[0] }) }])
  ];
}

const EDGES = [0, 1, 4, 8, 10, 31, 64, 127, 128, 192, 255];

function mutated(frame: Uint8Array, random: () => number): Uint8Array {
  let bytes = [...frame];
  for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) {
    const at = Math.floor(random() * bytes.length);
    pick(random, [
      () => (bytes[at] = Math.floor(random() * 256)),
      () => (bytes[at] = pick(random, EDGES)),
      () => (bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8))),
      () => (bytes = bytes.slice(0, at + 1)),
      () => bytes.splice(at, 0, ...Array(1 + Math.floor(random() * 9)).fill(pick(random, EDGES))),
      () => bytes.splice(at, 1 + Math.floor(random() * 6)),
      () => bytes.push(...bytes.slice(at, at + 30)),
      () => bytes.splice(at, 0, 255, 255, 255, 255, 255, 255, 255, 15)
    ])();
  }
  return Uint8Array.from(bytes);
}

/** One attacker after another, each sending mutants until the door shuts, until so many were sent. */
async function attack(seed: number, count: number, honest: Page): Promise<{ sent: number; shut: number }> {
  const random = randomFrom(seed);
  const person = await scene.t.member(scene.project, 'reviewer');
  let sent = 0;
  let shut = 0;
  while (sent < count) {
    const attacker = await attackerOf(scene, person);
    let open = true;
    const closed = attacker.closed.then(() => (open = false));
    const client = await Promise.race([attacker.clientId(), closed.then(() => 1)]);
    while (open && sent < count) {
      const base = Y.encodeStateAsUpdate(honest.doc);
      attacker.socket.send(mutated(pick(random, healthy(client, base)), random));
      sent++;
      await pause(random() < 0.5 ? 1 : 12);
    }
    if (!open) shut++;
    attacker.socket.terminate();
    await closed;
  }
  return { sent, shut };
}

test(
  `${MUTANTS} mutated frames: no crash, no stall, no harm (seed ${SEED})`,
  { timeout: 900_000 },
  async () => {
    const [a, b] = [await pageOf(scene, scene.ada), await pageOf(scene, scene.eve)];
    let lost = 0;
    for (const { provider } of [a, b]) provider.on('connection-close', () => lost++);
    const stalls = watchStalls();
    let over = false;
    const attacking = Promise.all(
      Array.from({ length: ATTACKERS }, (_, n) => attack(SEED * 100 + n, MUTANTS / ATTACKERS, a))
    ).finally(() => (over = true));
    const times: number[] = [];
    for (let n = 0; !over; n++) {
      const started = performance.now();
      a.ranks.set(scene.task.outputs[2]!, n);
      b.ranks.set(scene.task.outputs[1]!, n);
      await Promise.all([a.saved(), b.saved()]);
      times.push(performance.now() - started);
      await pause(50);
    }
    const outcomes = await attacking;
    stalls.stop();
    const sent = outcomes.reduce((sum, one) => sum + one.sent, 0);
    const shut = outcomes.reduce((sum, one) => sum + one.shut, 0);
    const longest = Math.max(...times);
    console.log(
      `${sent} mutants, ${shut} sockets shut; longest stall ${stalls.longest().toFixed(0)} ms, ` +
        `slowest of ${times.length} honest saves ${longest.toFixed(0)} ms`
    );
    expect(sent).toBe(MUTANTS);
    expect(shut).toBeGreaterThan(MUTANTS / 4);
    expect(stalls.longest()).toBeLessThan(STALL_MS_MAX);
    expect(lost).toBe(0);

    // What was taken is sound: the room reads its log again and shows what the pages show.
    const folded = new Y.Doc();
    for (const row of await logged(scene)) Y.applyUpdate(folded, row);
    const shown = ({ doc }: { doc: Y.Doc }) => [
      doc.getMap('ranks').toJSON(),
      doc.getMap('ratings').toJSON(),
      doc.getText('note').toString()
    ];
    await expect.poll(() => [shown(a), shown(b)]).toEqual([shown({ doc: folded }), shown({ doc: folded })]);
    expect(folded.store.pendingStructs).toBeNull();
    for (const page of [a, b]) page.destroy();
  }
);
