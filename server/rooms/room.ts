import * as Y from 'yjs';
import { faultInShape, newDocument, noteTooLong } from './document.ts';
import { inspectUpdate, type Inspection } from './inspect.ts';
import { updateFrame } from './frames.ts';
import { createPresence, type Presence } from './presence.ts';
import { malformed, tooLarge } from './refusal.ts';
import type { Connection } from './connection.ts';

interface Pending {
  seq: number;
  update: Uint8Array;
  from: Connection;
  frame: number;
}

/**
 * One open document. `doc` is what has been committed, and all that anybody is shown; `ahead` has, on top of it, what
 * waits for the group commit, and is where the next update is tried.
 */
export interface Room {
  name: string;
  doc: Y.Doc;
  /** Sequence number of the last committed log row. */
  seq: number;
  connections: Set<Connection>;
  presence: Presence;
  /** Whose each client id is. */
  clients: Map<number, string>;
  /** Checks an update and, where it is new, puts it in line: the log row to append. Throws a `Refusal`. */
  propose(
    update: Uint8Array,
    from: Connection,
    frame: number
  ): { verdict: Inspection['verdict']; seq?: number };
  /** The log has the row with this number. */
  commit(seq: number): Connection;
  /** Takes in an update that was committed together with something else; nothing may be pending. */
  adopt(update: Uint8Array, clientId: number, userId: string): void;
  /** Set while a submission has the room to itself; frames wait meanwhile. */
  reserved: boolean;
  /** True once what is in memory can no longer be trusted; the next visitor loads the room anew. */
  dead: boolean;
  pending(): number;
  destroy(): void;
}

export interface Stored {
  updates: Uint8Array[];
  lastSeq: number;
  clients: Map<number, string>;
  /** Ids of the task's outputs; empty for a lobby. */
  outputs: ReadonlySet<string>;
}

export function createRoom(name: string, stored: Stored): Room {
  const doc = newDocument(...stored.updates);
  let ahead = copyOf(doc);
  let pending: Pending[] = [];
  let lastSeq = stored.lastSeq;
  const { clients, outputs } = stored;

  function check(update: Uint8Array, userId: string): Inspection['verdict'] {
    const { verdict } = inspectUpdate(update, {
      clock: (client) => Y.getState(ahead.store, client),
      mayUse: (client) => clients.get(client) === userId,
      isDeleted: (client, clock, length) => isDeleted(ahead, client, clock, length)
    });
    return verdict;
  }

  function tryOut(update: Uint8Array): void {
    try {
      Y.applyUpdate(ahead, update);
      const fault = faultInShape(ahead, outputs);
      if (fault) throw malformed(fault);
      if (noteTooLong(ahead)) throw tooLarge('The note is too long.');
    } catch (error) {
      // Yjs cannot take an update back; a fresh copy of what stands can.
      ahead.destroy();
      ahead = copyOf(doc);
      for (const { update } of pending) Y.applyUpdate(ahead, update);
      throw error instanceof Error && 'code' in error ? error : malformed('The update cannot be applied.');
    }
  }

  const room: Room = {
    name,
    doc,
    clients,
    seq: lastSeq,
    connections: new Set(),
    presence: createPresence(),
    reserved: false,
    dead: false,
    pending: () => pending.length,
    propose(update, from, frame) {
      const verdict = check(update, from.actor.id);
      if (verdict !== 'new') return { verdict };
      tryOut(update);
      const seq = ++lastSeq;
      pending.push({ seq, update, from, frame });
      return { verdict, seq };
    },
    commit(seq) {
      const { update, from, frame, seq: expected } = pending.shift()!;
      if (expected !== seq) throw new Error(`Room ${name} expected row ${expected}, not ${seq}.`);
      Y.applyUpdate(doc, update);
      room.seq = seq;
      broadcast(update, from);
      from.settle(frame);
      return from;
    },
    adopt(update, clientId, userId) {
      clients.set(clientId, userId);
      Y.applyUpdate(ahead, update);
      Y.applyUpdate(doc, update);
      room.seq = ++lastSeq;
      broadcast(update, null);
    },
    destroy() {
      room.dead = true;
      room.presence.destroy();
      pending = [];
      doc.destroy();
      ahead.destroy();
    }
  };

  function broadcast(update: Uint8Array, from: Connection | null): void {
    if (room.connections.size === (from ? 1 : 0)) return;
    const frame = updateFrame(update);
    for (const connection of room.connections) if (connection !== from) connection.send(frame);
  }

  return room;
}

const copyOf = (doc: Y.Doc) => newDocument(Y.encodeStateAsUpdate(doc));

function isDeleted(doc: Y.Doc, client: number, clock: number, length: number): boolean {
  const structs = doc.store.clients.get(client);
  if (!structs || clock >= Y.getState(doc.store, client)) return length === 0;
  for (let i = Y.findIndexSS(structs, clock); i < structs.length; i++) {
    const struct = structs[i]!;
    if (struct.id.clock >= clock + length) break;
    if (!struct.deleted) return false;
  }
  return true;
}
