import * as Y from 'yjs';
import type { WebSocket } from 'ws';
import { close } from '#wire/room.ts';
import type { Actor } from '../auth/index.ts';
import { limits } from '../limits.ts';
import { log } from '../net/log.ts';
import type { Entry } from './access.ts';
import { Bucket } from './bucket.ts';
import { awarenessFrame, clientFrame, readFrame, savedFrame, step1Frame, step2Frame } from './frames.ts';
import { malformed, notAllowed, Refusal, tooFast, tooLarge } from './refusal.ts';
import type { Room } from './room.ts';

/** One socket in one room. */
export interface Connection {
  actor: Actor;
  room: Room;
  presenceKeys: ReadonlySet<string>;
  projectId: string;
  send(frame: Uint8Array): void;
  /** A frame with this number has committed. */
  settle(frame: number): void;
  /** Tells the page what is on disk by now. */
  sendSaved(): void;
  /** Reads what came while the room was reserved. */
  resume(): void;
  close(code: number, reason: string): void;
}

interface Held {
  update: Uint8Array;
  frame: number;
}

const BURST_SECONDS = 3;

/** `append` puts a proposed update into the log's line. */
export function createConnection(
  socket: WebSocket,
  { actor, room, entry, clientId }: { actor: Actor; room: Room; entry: Entry; clientId: number },
  append: (row: { seq: number; bytes: Uint8Array }) => void
): Connection {
  const { frames_per_second, bytes_per_second } = limits.rooms;
  const frames = new Bucket(frames_per_second, frames_per_second * BURST_SECONDS);
  const bytes = new Bucket(bytes_per_second, bytes_per_second * BURST_SECONDS);
  let inbox: Uint8Array[] = [];
  let held: Held[] = [];
  /** Sync frames by their number on this socket, counted from 1; those that are not on disk yet. */
  let received = 0;
  const unsettled = new Set<number>();
  let closed = false;

  const connection: Connection = {
    actor,
    room,
    presenceKeys: entry.presenceKeys,
    projectId: entry.projectId,
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
      connection.send(savedFrame(Y.encodeStateVector(room.doc), first === undefined ? received : first - 1));
    },
    resume() {
      const waiting = inbox;
      inbox = [];
      for (const frame of waiting) read(frame);
    },
    close(code, reason) {
      if (closed) return;
      closed = true;
      held = [];
      inbox = [];
      socket.close(code, reason);
    }
  };

  function onFrame(data: Buffer, isBinary: boolean): void {
    if (closed) return;
    guarded(() => {
      if (!isBinary) throw malformed('Frames are binary.');
      if (data.length > limits.rooms.frame_bytes_max) throw tooLarge('The frame is too large.');
      if (!frames.take(1) || !bytes.take(data.length)) throw tooFast('Too many frames; come back later.');
      // A copy of its own: see readFrame.
      read(new Uint8Array(data));
    });
  }

  function read(frame: Uint8Array): void {
    if (closed || room.dead) return;
    if (room.reserved) inbox.push(frame);
    else guarded(() => handle(frame));
  }

  function guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (error instanceof Refusal) return connection.close(error.code, error.message);
      log.error('room frame', { room: room.name, error });
      connection.close(1011, 'Something went wrong here.');
    }
  }

  function handle(bytes: Uint8Array): void {
    const frame = readFrame(bytes);
    if (frame.kind === 'awareness') return room.presence.take(connection, frame.states, room.clients);
    if (frame.kind === 'query_awareness') return connection.send(awarenessFrame(room.presence.all()));
    received++;
    if (frame.kind === 'update') return takeUpdate({ update: frame.update, frame: received });
    connection.send(step2Frame(room.doc, frame.stateVector));
    connection.sendSaved();
  }

  function takeUpdate(given: Held): void {
    unsettled.add(given.frame);
    if (!propose(given)) hold(given);
    else while (held.some((one) => propose(one)));
  }

  /** False where the update has to wait for others. */
  function propose({ update, frame }: Held): boolean {
    if (!unsettled.has(frame)) return false;
    const proposed = room.propose(update, connection, frame);
    if (proposed.verdict === 'waits') return false;
    held = held.filter((one) => one.frame !== frame);
    if (proposed.verdict === 'nothing') {
      unsettled.delete(frame);
      connection.sendSaved();
      return true;
    }
    if (entry.right !== 'write') throw notAllowed('You may look here, not change.');
    append({ seq: proposed.seq!, bytes: update });
    return true;
  }

  function hold(given: Held): void {
    held.push(given);
    const weight = held.reduce((sum, { update }) => sum + update.length, 0);
    if (weight > limits.rooms.held_bytes_max) throw malformed('The updates build on edits that never came.');
  }

  socket.on('message', onFrame);
  connection.send(clientFrame(clientId));
  connection.send(step1Frame(room.doc));
  const present = room.presence.all();
  if (present.length) connection.send(awarenessFrame(present));
  return connection;
}
