import * as Y from 'yjs';
import { limits } from '../limits.ts';
import { checkShape, newDocument, type Changed } from './document.ts';
import { inspectUpdate, withoutKnown, type Inspection, type Known, type Reach } from './inspect.ts';
import type { Row } from './log.ts';
import { createOutgoing } from './outgoing.ts';
import { createOverwrites } from './overwrites.ts';
import { createPresence, type Presence } from './presence.ts';
import { malformed, notAllowed, Refusal, tooLarge } from './refusal.ts';
import { applyAll, BEHIND_MAX, createTrailing, type Trailing } from './trailing.ts';
import type { Connection } from './connection.ts';

/** An update in the log's line. */
export interface Pending extends Row {
  owner: Room;
  /** How far the edits of the clients that it has edits of are known with it. */
  reaches: Reach[];
  /** Structs and deletions in it. */
  parts: number;
  from: Connection;
  frame: number;
  /** Frames that say nothing which is not on disk or in line up to here: saved with it, not before. */
  awaiting: { from: Connection; frame: number }[] | null;
}

/**
 * `nothing`: all of it is on disk; `in line`: all of it is on disk or will be with what is pending; `heavy`: it might
 * take long to apply, and has to be tried elsewhere first.
 */
export type Proposed =
  { verdict: 'new'; row: Pending } | { verdict: 'nothing' | 'in line' | 'waits' | 'heavy' };

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

/** A larger document is not copied only because it is long behind. */
const STRUCTS_COPIED_MAX = 2_000;

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
    applyAll(doc, updates.slice(at, at + limits.rooms.rows_loaded_at_once));
  }
  return createRoom(name, doc, stored);
}

function createRoom(name: string, loaded: Y.Doc, stored: Stored): Room {
  const overwrites = createOverwrites();
  const committed = createTrailing(loaded, () => {
    overwrites.forget(loaded);
    structs = structsIn(loaded) + pending.reduce((sum, { parts }) => sum + parts, 0);
  });
  /** With what is pending; made when it is needed. */
  let ahead: Trailing | null = null;
  const { clients, outputs } = stored;
  /** How far each client's edits have committed, and how far they have been taken. */
  const reached = Y.decodeStateVector(Y.encodeStateVector(loaded));
  const taken = new Map(reached);
  let pending: Pending[] = [];
  let vector: Uint8Array | null = null;
  let lastSeq = stored.lastSeq;
  /** At the most: neighbours merge as they are applied, and are counted then. */
  let structs = structsIn(loaded);
  let logged = stored.updates.reduce((sum, { length }) => sum + length, 0);

  function aheadNow(): Y.Doc {
    if (ahead) return ahead.now();
    ahead = createTrailing(copyOf(committed.now()));
    const waiting = pending.map(({ bytes }) => bytes);
    applyAll(ahead.doc, waiting);
    return ahead.doc;
  }

  function dropAhead(): void {
    ahead?.doc.destroy();
    ahead = null;
  }

  const knownTo = (userId: string): Known => ({
    clock: (client) => taken.get(client) ?? 0,
    mayUse: (client) => clients.get(client) === userId,
    isDeleted: (client, from, length) => isDeleted(aheadNow(), client, from, length)
  });

  function structsNow(tooMany: (structs: number) => boolean): number {
    if (tooMany(structs)) committed.now();
    return structs;
  }

  function checkBudget(update: Uint8Array, parts: number): void {
    const { structs_max, log_bytes_max } = limits.rooms;
    const most = structsNow((count) => count + parts > structs_max) + parts;
    if (most > structs_max || logged + update.length > log_bytes_max)
      throw tooLarge('This room holds as many edits as it may.');
  }

  function noteTaken(update: Uint8Array, { parts, reaches }: Inspection): void {
    for (const [client, clock] of reaches) taken.set(client, clock);
    structs += parts;
    logged += update.length;
  }

  function noteCommitted({ bytes, reaches, parts }: Pick<Pending, 'bytes' | 'reaches' | 'parts'>): void {
    for (const [client, clock] of reaches) reached.set(client, clock);
    vector = null;
    committed.add(bytes, parts * structs);
  }

  /** Takes an update into what is ahead, which those that only overwrite do not need: it is kept up while it is used. */
  function takeIn(update: Uint8Array, { structs: inside, parts, repeats }: Inspection): void {
    if (repeats || !overwrites.take(inside, committed.doc)) return tryOut(update);
    if (ahead && ahead.behind >= BEHIND_MAX - 1 && structs < STRUCTS_COPIED_MAX) dropAhead();
    ahead?.add(update, parts * (structs + parts));
  }

  function tryOut(update: Uint8Array): void {
    const doc = aheadNow();
    try {
      checkShape(doc, outputs, changedBy(doc, update));
    } catch (error) {
      // Yjs cannot take an update back; a fresh copy of what stands can.
      dropAhead();
      throw error instanceof Refusal ? error : malformed('The update cannot be applied.');
    }
  }

  const connections = new Set<Connection>();
  const outgoing = createOutgoing(connections);

  const room: Room = {
    name,
    get doc() {
      return committed.now();
    },
    clients,
    seq: lastSeq,
    connections,
    presence: createPresence(),
    reserved: false,
    dead: false,
    pending: () => pending.length,
    vector: () => (vector ??= Y.encodeStateVector(reached)),
    stateAhead: () => Y.encodeStateAsUpdate(aheadNow()),
    propose(update, from, { frame, tried }) {
      const known = knownTo(from.actor.id);
      const inspection = inspectUpdate(update, known);
      const { verdict, parts, repeats, reaches } = inspection;
      if (verdict === 'waits') return { verdict };
      if (verdict === 'nothing') {
        const last = pending.at(-1);
        if (last) (last.awaiting ??= []).push({ from, frame });
        return { verdict: pending.length ? 'in line' : 'nothing' };
      }
      // A deletion needs no client id: the check of those does not keep out who may only look.
      if (!from.mayWrite) throw notAllowed('You may look here, not change.');
      const isHeavy = (count: number) => parts * (count + parts) > limits.rooms.steps_untried_max;
      if (!tried && isHeavy(structsNow(isHeavy))) return { verdict: 'heavy' };
      const bytes = repeats ? withoutKnown(update, known) : update;
      checkBudget(bytes, parts);
      takeIn(bytes, inspection);
      noteTaken(bytes, inspection);
      const row: Pending = {
        room: name,
        owner: room,
        seq: ++lastSeq,
        userId: from.actor.id,
        bytes,
        reaches,
        parts,
        from,
        frame,
        awaiting: null
      };
      pending.push(row);
      return { verdict, row };
    },
    commit(rows) {
      const written = pending.slice(0, rows);
      const authors: Connection[] = [];
      const settle = ({ from, frame }: Pick<Pending, 'from' | 'frame'>) => {
        from.settle(frame);
        authors.push(from);
      };
      for (const one of written) {
        noteCommitted(one);
        settle(one);
        one.awaiting?.forEach(settle);
      }
      pending = pending.slice(rows);
      room.seq = written.at(-1)!.seq;
      outgoing.tell(written, authors);
    },
    adopt(update, clientId, userId) {
      clients.set(clientId, userId);
      ahead?.add(update, structs);
      const clock = Y.parseUpdateMeta(update).to.get(clientId) ?? 0;
      taken.set(clientId, clock);
      noteCommitted({ bytes: update, reaches: [[clientId, clock]], parts: 1 });
      logged += update.length;
      room.seq = ++lastSeq;
      outgoing.tell([{ bytes: update, from: null }], []);
    },
    destroy() {
      room.dead = true;
      room.presence.destroy();
      outgoing.destroy();
      pending = [];
      committed.doc.destroy();
      dropAhead();
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
