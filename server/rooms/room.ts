import * as Y from 'yjs';
import { limits } from '../limits.ts';
import { checkShape, newDocument, type Changed } from './document.ts';
import { inspectUpdate, withoutKnown, type Known } from './inspect.ts';
import { createOutgoing } from './outgoing.ts';
import { createPresence, type Presence } from './presence.ts';
import { malformed, notAllowed, Refusal, tooLarge } from './refusal.ts';
import type { Connection } from './connection.ts';

interface Pending {
  seq: number;
  update: Uint8Array;
  /** How far the edits of the clients that it has edits of are known with it. */
  reaches: ReadonlyMap<number, number>;
  /** Steps of a scan that applying it takes at most. */
  steps: number;
  from: Connection;
  frame: number;
  /** Frames that say nothing which is not on disk or in line up to here: saved with it, not before. */
  awaiting: { from: Connection; frame: number }[];
}

/**
 * `nothing`: all of it is on disk; `in line`: all of it is on disk or will be with what is pending; `heavy`: it might
 * take long to apply, and has to be tried elsewhere first.
 */
export type Proposed =
  { verdict: 'new'; seq: number; bytes: Uint8Array } | { verdict: 'nothing' | 'in line' | 'waits' | 'heavy' };

/**
 * One open document. `doc` is what has been committed, and all that anybody is shown; `ahead` has, on top of it, what
 * waits for the group commit, and is where the next update is tried.
 */
export interface Room {
  name: string;
  readonly doc: Y.Doc;
  /** Sequence number of the last committed log row. */
  seq: number;
  connections: Set<Connection>;
  presence: Presence;
  /** Whose each client id is. */
  clients: Map<number, string>;
  /** Checks an update and, where it is new, puts it in line: the log row to append. Throws a `Refusal`. */
  propose(update: Uint8Array, from: Connection, options: { frame: number; tried: boolean }): Proposed;
  /** The log has that many more rows: they are told to whom they concern. */
  commit(rows: number): void;
  /** Takes in an update that was committed together with something else; nothing may be pending. */
  adopt(update: Uint8Array, clientId: number, userId: string): void;
  /** The state vector of what is committed. */
  vector(): Uint8Array;
  /** The document with what is pending, to try a heavy update on. */
  stateAhead(): Uint8Array;
  /** Set while a submission has the room to itself; frames wait meanwhile. */
  reserved: boolean;
  /** True once what is in memory can no longer be trusted; the next visitor loads the room anew. */
  dead: boolean;
  pending(): number;
  destroy(): void;
}

/** Enough that applying them together pays; where that would take long, fewer are. */
const BEHIND_MAX = 64;

export interface Stored {
  updates: Uint8Array[];
  lastSeq: number;
  clients: Map<number, string>;
  /** Ids of the task's outputs; empty for a lobby. */
  outputs: ReadonlySet<string>;
}

export async function loadRoom(name: string, stored: Stored): Promise<Room> {
  const doc = newDocument();
  const { updates } = stored;
  for (let at = 0; at < updates.length; at += limits.rooms.rows_loaded_at_once) {
    if (at > 0) await new Promise((resolve) => setImmediate(resolve));
    apply(doc, updates.slice(at, at + limits.rooms.rows_loaded_at_once));
  }
  return createRoom(name, doc, stored);
}

function createRoom(name: string, committed: Y.Doc, stored: Stored): Room {
  let ahead = copyOf(committed);
  /** What has committed and is not in that document yet: applied together it takes a third of the time. */
  let behind: Uint8Array[] = [];
  let stepsBehind = 0;
  /** How far each client's edits have committed. */
  const reached = Y.decodeStateVector(Y.encodeStateVector(committed));
  let pending: Pending[] = [];
  let vector: Uint8Array | null = null;
  let lastSeq = stored.lastSeq;
  let structs = structsIn(ahead);
  let logged = stored.updates.reduce((sum, { length }) => sum + length, 0);
  const { clients, outputs } = stored;
  const clock = (client: number) => Y.getState(ahead.store, client);

  const knownTo = (userId: string): Known => ({
    clock,
    mayUse: (client) => clients.get(client) === userId,
    isDeleted: (client, from, length) => isDeleted(ahead, client, from, length)
  });

  /** Neighbours merge as they are applied: counted anew only where the sum of what came in is too much. */
  function structsNow(tooMany: (structs: number) => boolean): number {
    if (tooMany(structs)) structs = structsIn(ahead);
    return structs;
  }

  function checkBudget(update: Uint8Array, parts: number): void {
    const { structs_max, log_bytes_max } = limits.rooms;
    const most = structsNow((count) => count + parts > structs_max) + parts;
    if (most > structs_max || logged + update.length > log_bytes_max)
      throw tooLarge('This room holds as many edits as it may.');
  }

  function upToDate(): Y.Doc {
    if (behind.length) apply(committed, behind);
    behind = [];
    stepsBehind = 0;
    return committed;
  }

  function noteCommitted({ update, reaches, steps }: Pick<Pending, 'update' | 'reaches' | 'steps'>): void {
    for (const [client, clock] of reaches) reached.set(client, clock);
    vector = null;
    behind.push(update);
    stepsBehind += steps;
    if (behind.length >= BEHIND_MAX || stepsBehind > limits.rooms.steps_untried_max) upToDate();
  }

  function tryOut(update: Uint8Array): void {
    try {
      checkShape(ahead, outputs, changedBy(ahead, update));
    } catch (error) {
      // Yjs cannot take an update back; a fresh copy of what stands can.
      ahead.destroy();
      ahead = copyOf(upToDate());
      const waiting = pending.map(({ update }) => update);
      apply(ahead, waiting);
      throw error instanceof Refusal ? error : malformed('The update cannot be applied.');
    }
  }

  const connections = new Set<Connection>();
  const outgoing = createOutgoing(connections);

  const room: Room = {
    name,
    get doc() {
      return upToDate();
    },
    clients,
    seq: lastSeq,
    connections,
    presence: createPresence(),
    reserved: false,
    dead: false,
    pending: () => pending.length,
    vector: () => (vector ??= Y.encodeStateVector(reached)),
    stateAhead: () => Y.encodeStateAsUpdate(ahead),
    propose(update, from, { frame, tried }) {
      const known = knownTo(from.actor.id);
      const { verdict, parts, repeats, reaches } = inspectUpdate(update, known);
      if (verdict === 'waits') return { verdict };
      if (verdict === 'nothing') {
        pending.at(-1)?.awaiting.push({ from, frame });
        return { verdict: pending.length ? 'in line' : 'nothing' };
      }
      // A deletion needs no client id: the check of those does not keep out who may only look.
      if (!from.mayWrite) throw notAllowed('You may look here, not change.');
      const isHeavy = (count: number) => parts * (count + parts) > limits.rooms.steps_untried_max;
      if (!tried && isHeavy(structsNow(isHeavy))) return { verdict: 'heavy' };
      const bytes = repeats ? withoutKnown(update, known) : update;
      checkBudget(bytes, parts);
      tryOut(bytes);
      structs += parts;
      logged += bytes.length;
      const seq = ++lastSeq;
      const steps = parts * structs;
      pending.push({ seq, update: bytes, reaches, steps, from, frame, awaiting: [] });
      return { verdict, seq, bytes };
    },
    commit(rows) {
      const written = pending.splice(0, rows);
      for (const one of written) noteCommitted(one);
      room.seq = written.at(-1)!.seq;
      const settled = written.flatMap((one) => [one, ...one.awaiting]);
      for (const { from, frame } of settled) from.settle(frame);
      outgoing.tell(
        written,
        settled.map(({ from }) => from)
      );
    },
    adopt(update, clientId, userId) {
      clients.set(clientId, userId);
      Y.applyUpdate(ahead, update);
      const reaches = new Map([[clientId, Y.getState(ahead.store, clientId)]]);
      noteCommitted({ update, reaches, steps: structs });
      logged += update.length;
      room.seq = ++lastSeq;
      outgoing.tell([{ update, from: null }], []);
    },
    destroy() {
      room.dead = true;
      room.presence.destroy();
      outgoing.destroy();
      pending = [];
      committed.destroy();
      ahead.destroy();
    }
  };

  return room;
}

/** Applies an update; which keys of which parts it touched. */
function changedBy(doc: Y.Doc, update: Uint8Array): Changed {
  let changed: Changed = new Map();
  doc.once('afterTransaction', (transaction: Y.Transaction) => (changed = transaction.changed));
  Y.applyUpdate(doc, update);
  return changed;
}

const copyOf = (doc: Y.Doc) => newDocument(Y.encodeStateAsUpdate(doc));

function apply(doc: Y.Doc, updates: Uint8Array[]): void {
  doc.transact(() => {
    for (const update of updates) Y.applyUpdate(doc, update);
  });
}

function structsIn(doc: Y.Doc): number {
  let count = 0;
  for (const structs of doc.store.clients.values()) count += structs.length;
  return count;
}

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
