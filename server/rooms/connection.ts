import type { Writable } from 'node:stream';
import type { WebSocket } from 'ws';
import { AWARENESS, close } from '#wire/room.ts';
import type { Actor } from '../auth/index.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import type { Entry } from './access.ts';
import { Bucket } from './bucket.ts';
import { awarenessFrame, clientFrame, readFrame, savedFrame, step1Frame, step2Frame } from './frames.ts';
import { malformed, Refusal, tooFast, tooLarge } from './refusal.ts';
import type { Pending, Room } from './room.ts';

/** One socket in one room. */
export interface Connection {
  actor: Actor;
  room: Room;
  entry: Entry;
  mayWrite: boolean;
  send(frame: Uint8Array): void;
  /** A frame with this number has committed. */
  settle(frame: number): void;
  /** Tells the page what is on disk by now. */
  sendSaved(): void;
  /** What has committed: others' edits, and what of the page's own is on disk; in one write to the line. */
  tell(update: Uint8Array | null, saved: boolean): void;
  /** Reads what came while frames had to wait. */
  resume(): void;
  /** Looks once more at updates that waited for others, which may be here now. */
  retry(): void;
  close(code: number, reason: string): void;
}

export interface Visit {
  actor: Actor;
  entry: Entry;
  room: Room;
  clientId: number;
  /** How much of the server's time the person may still take, on all their sockets together. */
  work: Bucket;
}

/** What a connection asks of the house around its room. */
export interface House {
  /** Puts a proposed update into the log's line. */
  append(row: Pending): void;
  /** Tries a heavy update elsewhere; throws a `Refusal`. */
  tryElsewhere(update: Uint8Array): Promise<void>;
}

interface Update {
  update: Uint8Array;
  frame: number;
  tried: boolean;
}

const BURST_SECONDS = 3;
const INTERNAL = 1011;
const bucket = (rate: number) => new Bucket(rate, rate * BURST_SECONDS);

export function createConnection(
  socket: WebSocket,
  { actor, room, entry, clientId, work }: Visit,
  { append, tryElsewhere }: House
): Connection {
  const rates = limits.rooms;
  const frames = bucket(rates.frames_per_second);
  const presenceFrames = bucket(rates.presence_frames_per_second);
  const syncs = bucket(rates.syncs_per_second);
  const bytes = bucket(rates.bytes_per_second);
  /** What waits while the room is reserved or an update is tried elsewhere. */
  let inbox: (() => void)[] = [];
  let trying = false;
  let held: Update[] = [];
  /** Sync frames by their number on this socket, counted from 1; those that are not on disk yet. */
  let received = 0;
  const unsettled = new Set<number>();
  let closed = false;

  const connection: Connection = {
    actor,
    room,
    entry,
    mayWrite: entry.right === 'write',
    send(frame) {
      if (closed) return;
      socket.send(frame);
      if (socket.bufferedAmount > limits.rooms.buffered_bytes_max) {
        connection.close(close.tooFast, 'This page reads too slowly.');
        socket.terminate();
      }
    },
    settle: (frame) => void unsettled.delete(frame),
    sendSaved() {
      const [first] = unsettled;
      connection.send(savedFrame(room.vector(), first === undefined ? received : first - 1));
    },
    tell(update, saved) {
      line?.cork();
      if (update) connection.send(update);
      if (saved) connection.sendSaved();
      line?.uncork();
    },
    resume() {
      while (inbox.length && !waits()) guarded(inbox.shift()!);
    },
    retry() {
      if (held.length && !waits()) guarded(proposeHeld);
    },
    close(code, reason) {
      if (closed) return;
      closed = true;
      held = [];
      inbox = [];
      socket.close(code, reason);
    }
  };

  /** What ws writes to: its README names it for what ws itself has no call for. */
  const line = (socket as { _socket?: Writable })._socket;

  const waits = () => room.reserved || trying;

  function onFrame(data: Buffer, isBinary: boolean): void {
    guarded(() => {
      if (!isBinary) throw malformed('Frames are binary.');
      if (data.length > limits.rooms.frame_bytes_max) throw tooLarge('The frame is too large.');
      const kind = data[0] === AWARENESS ? presenceFrames : frames;
      if (!kind.take(1) || !bytes.take(data.length)) throw tooFast('Too much at once; come back later.');
      // A copy of its own: see readFrame.
      const frame = new Uint8Array(data);
      if (waits()) inbox.push(() => handle(frame));
      else handle(frame);
    });
  }

  /** Does the work on the person's account; what it refuses ends the socket. */
  function guarded(task: () => void): void {
    if (closed || room.dead) return;
    const started = performance.now();
    try {
      task();
      if (!work.spend(performance.now() - started)) throw tooFast('Too much work at once; come back later.');
    } catch (error) {
      fail(error);
    }
  }

  function fail(error: unknown): void {
    if (error instanceof Refusal) return connection.close(error.code, error.message);
    log.error('room frame', { room: room.name, error });
    connection.close(INTERNAL, 'Something went wrong here.');
  }

  function handle(bytes: Uint8Array): void {
    const frame = readFrame(bytes);
    if (frame.kind === 'awareness') return room.presence.take(connection, frame.states, room.clients);
    if (frame.kind === 'query_awareness') return connection.send(awarenessFrame(room.presence.all()));
    received++;
    if (frame.kind === 'update') return takeUpdate({ update: frame.update, frame: received, tried: false });
    if (!syncs.take(1)) throw tooFast('The whole document too often; come back later.');
    connection.send(step2Frame(room.doc, frame.stateVector));
    connection.sendSaved();
  }

  function takeUpdate(given: Update): void {
    unsettled.add(given.frame);
    const outcome = propose(given);
    if (outcome === 'taken' && held.length) proposeHeld();
    if (outcome === 'waits') hold(given);
  }

  /** In the order in which they came; those that still wait are looked at again after the next commit. */
  function proposeHeld(): void {
    const waiting = held;
    held = [];
    for (const one of waiting) if (trying || propose(one) === 'waits') held.push(one);
  }

  /** `waits`: for edits that are still on their way; `tried`: elsewhere, and then it is taken. */
  function propose(given: Update): 'taken' | 'waits' | 'tried' {
    const proposed = room.propose(given.update, connection, given);
    if (proposed.verdict === 'waits') return 'waits';
    if (proposed.verdict === 'heavy') {
      void tryFirst(given);
      return 'tried';
    }
    if (proposed.verdict === 'new') append(proposed.row);
    if (proposed.verdict === 'nothing') {
      unsettled.delete(given.frame);
      connection.sendSaved();
    }
    return 'taken';
  }

  async function tryFirst(given: Update): Promise<void> {
    trying = true;
    try {
      await tryElsewhere(given.update);
    } catch (error) {
      return fail(error);
    }
    trying = false;
    inbox.unshift(() => takeUpdate({ ...given, tried: true }));
    connection.resume();
  }

  function hold(given: Update): void {
    held.push(given);
    const weight = held.reduce((sum, { update }) => sum + update.length, 0);
    if (weight > limits.rooms.held_bytes_max || held.length > limits.rooms.held_updates_max)
      throw tooFast('The updates build on edits that never came.');
  }

  socket.on('message', onFrame);
  socket.on('ping', () => {
    if (!closed && !frames.take(1)) connection.close(close.tooFast, 'Too many pings; come back later.');
  });
  connection.send(clientFrame(clientId));
  connection.send(step1Frame(room.vector()));
  const present = room.presence.all();
  if (present.length) connection.send(awarenessFrame(present));
  return connection;
}
