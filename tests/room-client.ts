import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { WebSocket } from 'ws';
import * as Y from 'yjs';
import { CLIENT, SAVED, SYNC } from '../src/lib/wire/room.ts';

/** A page's half of a room without a page: y-websocket's protocol, and the book of what the server called saved. */
export interface RoomClient {
  doc: Y.Doc;
  /** Edits made now are sent when the server knows this client; resolves then. */
  ready: Promise<void>;
  /** Resolves once everything that was sent so far is committed. */
  saved(): Promise<void>;
  /** What has been called saved up to now, by Yjs client id: survives the connection. */
  acked: Map<number, number>;
  closed: Promise<{ code: number; reason: string }>;
  close(): void;
}

export interface RoomOptions {
  token: string;
  /** A document from an earlier connection, with its client id. */
  doc?: Y.Doc;
  acked?: Map<number, number>;
  /** Documents of one page that have an id already edit under it again. */
  keepClientId?: boolean;
}

const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;

export function openRoom(origin: string, room: string, options: RoomOptions): RoomClient {
  const { doc = new Y.Doc(), acked = new Map<number, number>() } = options;
  const headers = { authorization: `Bearer ${options.token}` };
  const socket = new WebSocket(`${origin.replace('http', 'ws')}/yjs/${room}`, { headers });
  let sent = 0;
  let waiting: { frames: number; resolve: () => void }[] = [];
  let becomeReady: () => void;
  const ready = new Promise<void>((resolve) => (becomeReady = resolve));

  const sendSync = (step: number, payload: Uint8Array) => {
    if (socket.readyState !== WebSocket.OPEN) return;
    sent++;
    socket.send(syncFrame(step, payload));
  };
  const onUpdate = (update: Uint8Array, from: unknown) => {
    if (from !== socket) sendSync(UPDATE, update);
  };

  socket.on('message', (data: Buffer) => {
    const decoder = decoding.createDecoder(new Uint8Array(data));
    const type = decoding.readVarUint(decoder);
    if (type === CLIENT) {
      const id = decoding.readVarUint(decoder);
      if (!options.keepClientId) doc.clientID = id;
      doc.on('update', onUpdate);
      sendSync(STEP_1, Y.encodeStateVector(doc));
    } else if (type === SYNC) takeSync(decoder);
    else if (type === SAVED) takeSaved(decoder);
  });

  function takeSync(decoder: decoding.Decoder): void {
    const step = decoding.readVarUint(decoder);
    const payload = decoding.readVarUint8Array(decoder);
    if (step === STEP_1) return sendSync(STEP_2, Y.encodeStateAsUpdate(doc, payload));
    Y.applyUpdate(doc, payload, socket);
    if (step === STEP_2) becomeReady();
  }

  function takeSaved(decoder: decoding.Decoder): void {
    const vector = Y.decodeStateVector(decoding.readVarUint8Array(decoder));
    for (const [client, clock] of vector) acked.set(client, Math.max(clock, acked.get(client) ?? 0));
    const frames = decoding.readVarUint(decoder);
    const done = waiting.filter((one) => one.frames <= frames);
    waiting = waiting.filter((one) => one.frames > frames);
    for (const { resolve } of done) resolve();
  }

  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    socket.on('error', () => {});
    socket.on('close', (code, reason) => {
      doc.off('update', onUpdate);
      resolve({ code, reason: reason.toString() });
    });
  });

  return {
    doc,
    ready,
    acked,
    closed,
    saved: () => new Promise((resolve) => waiting.push({ frames: sent, resolve })),
    close: () => socket.close()
  };
}

function syncFrame(step: number, payload: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, SYNC);
  encoding.writeVarUint(encoder, step);
  encoding.writeVarUint8Array(encoder, payload);
  return encoding.toUint8Array(encoder);
}
