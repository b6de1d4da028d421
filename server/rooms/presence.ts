import { limits } from '../limits.ts';
import { awarenessFrame, type AwarenessState } from './frames.ts';
import type { Connection } from './connection.ts';

/** Who is in a room. Each socket has one state, and who it says they are is the server's word, not the page's. */
export interface Presence {
  take(from: Connection, states: AwarenessState[], clients: ReadonlyMap<number, string>): void;
  /** This id was given to this person: nobody else is taken for them while they are away. */
  expect(clientId: number, userId: string): void;
  /** Everyone who is here. */
  all(): AwarenessState[];
  leave(connection: Connection): void;
  destroy(): void;
}

const CLOCK_MAX = 2 ** 31;

export function createPresence(): Presence {
  const states = new Map<Connection, AwarenessState>();
  /** The last clock told of each client id, also of those who left: others take an earlier or equal one for old news. */
  const told = new Map<number, number>();
  const holder = new Map<number, Connection>();
  /** Whose an id is that no document knows: of a lobby, of who only looks, or from before the server's last start. */
  const bound = new Map<number, string>();
  let changed = new Map<number, AwarenessState>();
  let audience: Set<Connection> | null = null;
  let timer: NodeJS.Timeout | null = null;
  let flushedAt = -Infinity;

  /** The first change goes out at once, others together when their time has come; of each socket the last is told. */
  function announce(state: AwarenessState, room: Set<Connection>): void {
    changed.set(state.clientId, state);
    audience = room;
    const { presence_interval_ms, presence_interval_ms_per_socket } = limits.rooms;
    const interval = Math.max(presence_interval_ms, room.size * presence_interval_ms_per_socket);
    timer ??= setTimeout(flush, Math.max(0, flushedAt + interval - performance.now()));
  }

  function flush(): void {
    timer = null;
    flushedAt = performance.now();
    const frame = awarenessFrame([...changed.values()]);
    changed = new Map();
    // The sender hears it too: a page that hears nothing for 30 seconds takes the line for dead.
    for (const connection of audience ?? []) connection.send(frame);
  }

  function drop(connection: Connection): void {
    const state = states.get(connection);
    if (!state) return;
    states.delete(connection);
    holder.delete(state.clientId);
    announce({ ...state, state: 'null' }, connection.room.connections);
  }

  /** Pages also repeat what they heard of others; only what they say of themselves counts. */
  function isOwn(connection: Connection, clientId: number, clients: ReadonlyMap<number, string>): boolean {
    const held = holder.get(clientId);
    if (held) return held === connection;
    const owner = clients.get(clientId) ?? bound.get(clientId);
    if (owner !== undefined) return owner === connection.actor.id;
    if (states.has(connection) || clientId === 0) return false;
    bound.set(clientId, connection.actor.id);
    return true;
  }

  function takeOwn(connection: Connection, { clientId, clock, state }: AwarenessState): void {
    if (!(clock >= 0 && clock < CLOCK_MAX)) return;
    const before = states.get(connection);
    const text = tell(connection, state);
    if (before && (before.clientId !== clientId || text === null)) drop(connection);
    if (text === null) return;
    // A page that was away comes back under the clock that it left with.
    const last = told.get(clientId) ?? -1;
    if (clock <= last && before?.state === text) return;
    const fresh = { clientId, clock: Math.max(clock, last + 1), state: text };
    told.set(clientId, fresh.clock);
    states.set(connection, fresh);
    holder.set(clientId, connection);
    announce(fresh, connection.room.connections);
  }

  return {
    take(connection, given, clients) {
      for (const one of given) if (isOwn(connection, one.clientId, clients)) takeOwn(connection, one);
    },
    expect: (clientId, userId) => void bound.set(clientId, userId),
    all: () => [...states.values()],
    leave: drop,
    destroy() {
      if (timer) clearTimeout(timer);
      timer = null;
    }
  };
}

/** The state as others are told it; null where the page has gone or says too much. */
function tell({ actor, entry }: Connection, text: string): string | null {
  if (Buffer.byteLength(text) > limits.rooms.presence_bytes_max) return null;
  const given: unknown = parse(text);
  if (given === null || typeof given !== 'object') return null;
  const kept = Object.entries(given).filter(([key, value]) => entry.presenceKeys.has(key) && isShort(value));
  return JSON.stringify({ ...Object.fromEntries(kept), user: { id: actor.id, name: actor.name } });
}

/** A name of a task or an output, not a text: presence says where people are, never how they rank. */
const isShort = (value: unknown) => value === null || (typeof value === 'string' && value.length <= 64);

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
