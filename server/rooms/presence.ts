import { limits } from '../limits.ts';
import { awarenessFrame, type AwarenessState } from './frames.ts';
import type { Connection } from './connection.ts';

/** Who is in a room. Each socket has one state, and who it says they are is the server's word, not the page's. */
export interface Presence {
  take(from: Connection, states: AwarenessState[], clients: ReadonlyMap<number, string>): void;
  /** Everyone who is here. */
  all(): AwarenessState[];
  leave(connection: Connection): void;
  destroy(): void;
}

const INTERVAL_MS = 50;
const CLOCK_MAX = 2 ** 31;

export function createPresence(): Presence {
  const states = new Map<Connection, AwarenessState>();
  const holder = new Map<number, Connection>();
  let changed = new Map<number, AwarenessState>();
  let audience: Set<Connection> | null = null;
  let timer: NodeJS.Timeout | null = null;

  function announce(state: AwarenessState, room: Set<Connection>): void {
    changed.set(state.clientId, state);
    audience = room;
    timer ??= setTimeout(flush, INTERVAL_MS);
  }

  function flush(): void {
    timer = null;
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
    announce({ ...state, clock: state.clock + 1, state: 'null' }, connection.room.connections);
  }

  /** Pages also repeat what they heard of others; only what they say of themselves counts. */
  function isOwn(connection: Connection, clientId: number, clients: ReadonlyMap<number, string>): boolean {
    const held = holder.get(clientId);
    if (held) return held === connection;
    const owner = clients.get(clientId);
    if (owner !== undefined) return owner === connection.actor.id;
    return !states.has(connection) && clientId !== 0;
  }

  return {
    take(connection, given, clients) {
      for (const { clientId, clock, state } of given) {
        if (!isOwn(connection, clientId, clients) || !(clock >= 0 && clock < CLOCK_MAX)) continue;
        const before = states.get(connection);
        if (before?.clientId === clientId && before.clock > clock) continue;
        const told = tell(connection, state);
        if (before && (before.clientId !== clientId || told === null)) drop(connection);
        if (told === null) continue;
        const fresh = { clientId, clock, state: told };
        states.set(connection, fresh);
        holder.set(clientId, connection);
        announce(fresh, connection.room.connections);
      }
    },
    all: () => [...states.values()],
    leave: drop,
    destroy() {
      if (timer) clearTimeout(timer);
      timer = null;
    }
  };
}

/** The state as others are told it; null where the page has gone or says too much. */
function tell({ actor, presenceKeys }: Connection, text: string): string | null {
  if (text.length > limits.rooms.awareness_bytes_max) return null;
  const given: unknown = parse(text);
  if (given === null || typeof given !== 'object') return null;
  const kept = Object.entries(given).filter(([key, value]) => presenceKeys.has(key) && isShort(value));
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
