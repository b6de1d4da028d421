import * as encoding from 'lib0/encoding';
import { expect } from 'vitest';
import { WebSocket } from 'ws';
import { openPage, rawSocket, syncFrame, type Page, type RoomApp } from '../../server/rooms/testing-room.ts';

export interface Person {
  id: string;
  token: string;
}

export interface Scene {
  t: RoomApp;
  project: string;
  task: { id: string; outputs: string[] };
  table: string;
  ada: Person;
  /** A member too; the house trusts nobody for that. */
  eve: Person;
}

/** An open project with one task at whose table two people may write. */
export async function sceneOn(t: RoomApp, mode: 'open' | 'blind' = 'open'): Promise<Scene> {
  const project = await t.project({ mode, overlap: 2 });
  const ada = await t.member(project, 'reviewer', 'Ada');
  const eve = await t.member(project, 'reviewer', 'Eve');
  const task = await t.task(project);
  return { t, project, task, table: `table/${task.id}`, ada, eve };
}

export const bearer = ({ token }: Person) => ({ authorization: `Bearer ${token}` });

export const pageOf = (scene: Scene, person: Person, room = scene.table): Promise<Page> =>
  openPage(scene.t.url, room, person.token);

/** A bare socket at the table that has said nothing yet. */
export const attackerOf = (scene: Scene, person: Person = scene.eve, room = scene.table) =>
  rawSocket(scene.t.url, room, bearer(person));

export type Attacker = Awaited<ReturnType<typeof attackerOf>>;

/** `open` where the room lets a socket with these headers in and sends its first frame; else the close code. */
export async function knock(
  url: string,
  room: string,
  headers: Record<string, string>
): Promise<number | 'open'> {
  const { socket, closed, received } = await rawSocket(url, room, headers);
  const admitted = new Promise<'open'>((resolve) => {
    if (received.length) resolve('open');
    socket.once('message', () => resolve('open'));
  });
  const answer = await Promise.race([admitted, closed]);
  socket.terminate();
  await closed;
  return answer;
}

export function bytes(write: (encoder: encoding.Encoder) => void): Uint8Array {
  const encoder = encoding.createEncoder();
  write(encoder);
  return encoding.toUint8Array(encoder);
}

export const step1 = () => syncFrame(0, Uint8Array.of(0));

export function awareness(states: { client: number; clock: number; state: string }[]): Uint8Array {
  const payload = bytes((encoder) => {
    encoding.writeVarUint(encoder, states.length);
    for (const { client, clock, state } of states) {
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, clock);
      encoding.writeVarString(encoder, state);
    }
  });
  return bytes((encoder) => {
    encoding.writeVarUint(encoder, 1);
    encoding.writeVarUint8Array(encoder, payload);
  });
}

/** An update with structs of one client, each written by hand: what no Yjs would send. */
export function forged(
  blocks: {
    client: number;
    clock?: number;
    count: number;
    struct(encoder: encoding.Encoder, n: number): void;
  }[],
  deletions: { client: number; ranges: [clock: number, length: number][] }[] = []
): Uint8Array {
  return bytes((encoder) => {
    encoding.writeVarUint(encoder, blocks.length);
    for (const { client, clock = 0, count, struct } of blocks) {
      encoding.writeVarUint(encoder, count);
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, clock);
      for (let n = 0; n < count; n++) struct(encoder, n);
    }
    encoding.writeVarUint(encoder, deletions.length);
    for (const { client, ranges } of deletions) {
      encoding.writeVarUint(encoder, client);
      encoding.writeVarUint(encoder, ranges.length);
      for (const [clock, length] of ranges) {
        encoding.writeVarUint(encoder, clock);
        encoding.writeVarUint(encoder, length);
      }
    }
  });
}

/** A garbage-collected stretch: says that edits were there, and nothing of them. */
export const gap = (length: number) => (encoder: encoding.Encoder) => {
  encoding.writeUint8(encoder, 0);
  encoding.writeVarUint(encoder, length);
};

const PARENT_IS_ROOT = 1;
const TEXT = 4;
const ANY = 8;
const HAS_KEY = 32;

/** A letter at the very beginning of a text, whatever stands there. */
export const letter = (text: string) => (encoder: encoding.Encoder) => {
  encoding.writeUint8(encoder, TEXT);
  encoding.writeVarUint(encoder, PARENT_IS_ROOT);
  encoding.writeVarString(encoder, text);
  encoding.writeVarString(encoder, 'x');
};

/** A first value for a key of a map, whatever it holds. */
export const entry =
  (map: string, key: string, write = (encoder: encoding.Encoder) => encoding.writeAny(encoder, 1)) =>
  (encoder: encoding.Encoder) => {
    encoding.writeUint8(encoder, ANY | HAS_KEY);
    encoding.writeVarUint(encoder, PARENT_IS_ROOT);
    encoding.writeVarString(encoder, map);
    encoding.writeVarString(encoder, key);
    encoding.writeVarUint(encoder, 1);
    write(encoder);
  };

/** What is in the log of a room. */
export async function logged(scene: Scene, room = scene.table): Promise<Uint8Array[]> {
  const rows = await scene.t.sql('select bytes from room_log where room = $1 order by seq', [room]);
  return rows.map(({ bytes }) => new Uint8Array(bytes));
}

export const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The longest time that an edit of an honest page took to be saved while `attack` ran. */
export async function longestSave(page: Page, key: string, attack: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let over = false;
  const attacking = attack().finally(() => (over = true));
  for (let n = 0; !over; n++) {
    const started = performance.now();
    page.ranks.set(key, n);
    await page.saved();
    longest = Math.max(longest, performance.now() - started);
    await pause(5);
  }
  await attacking;
  return longest;
}

export const isOpen = (socket: WebSocket) => socket.readyState === WebSocket.OPEN;
export {
  openPage,
  rawSocket,
  roomApp,
  syncFrame,
  updateBy,
  type Page
} from '../../server/rooms/testing-room.ts';

/** What becomes of an attacker who sends this; an honest page beside them saves, and nothing is logged but its edits. */
export async function sent(
  scene: Scene,
  make: (client: number) => Uint8Array | Promise<Uint8Array>
): Promise<number> {
  const before = (await logged(scene)).length;
  const honest = await pageOf(scene, scene.ada);
  const attacker = await attackerOf(scene);
  const update = await make(await attacker.clientId());
  attacker.update(update);
  const code = await attacker.closed;
  honest.ranks.set(scene.task.outputs[0]!, 5);
  await honest.saved();
  expect((await logged(scene)).length).toBe(before + 1);
  honest.destroy();
  return code;
}
