import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';
import type { News } from '#wire/news.ts';
import { AWARENESS, CLIENT, NEWS, SAVED, SYNC } from '#wire/room.ts';
import { malformed } from './refusal.ts';

const STEP_1 = 0;
const STEP_2 = 1;
const UPDATE = 2;
const QUERY_AWARENESS = 3;

export type Frame =
  | { kind: 'step1'; stateVector: Map<number, number> }
  | { kind: 'update'; update: Uint8Array }
  | { kind: 'awareness'; states: AwarenessState[] }
  | { kind: 'query_awareness' };

export interface AwarenessState {
  clientId: number;
  clock: number;
  /** JSON text. */
  state: string;
}

/**
 * Reads one frame. `bytes` must be alone in its buffer: lib0 does not check lengths against the end of a view, and a
 * forged length would read what lies behind it in Node's shared pool, which may be somebody else's frame.
 */
export function readFrame(bytes: Uint8Array): Frame {
  try {
    const decoder = decoding.createDecoder(bytes);
    const frame = readKind(decoder);
    if (decoder.pos === bytes.length) return frame;
  } catch {
    // Whatever the decoder stumbled over: the frame is not one.
  }
  throw malformed('The frame is not a y-websocket message.');
}

function readKind(decoder: decoding.Decoder): Frame {
  const type = decoding.readVarUint(decoder);
  if (type === SYNC) return readSync(decoder);
  if (type === QUERY_AWARENESS) return { kind: 'query_awareness' };
  if (type === AWARENESS) return readAwareness(decoding.readVarUint8Array(decoder));
  throw malformed('The frame has an unknown type.');
}

function readSync(decoder: decoding.Decoder): Frame {
  const step = decoding.readVarUint(decoder);
  const payload = decoding.readVarUint8Array(decoder);
  if (step === STEP_1) return { kind: 'step1', stateVector: Y.decodeStateVector(payload) };
  if (step === STEP_2 || step === UPDATE) return { kind: 'update', update: payload };
  throw malformed('The frame has an unknown sync step.');
}

function readAwareness(payload: Uint8Array): Frame {
  const decoder = decoding.createDecoder(payload);
  const states = Array.from({ length: Math.min(decoding.readVarUint(decoder), payload.length) }, () => ({
    clientId: decoding.readVarUint(decoder),
    clock: decoding.readVarUint(decoder),
    state: decoding.readVarString(decoder)
  }));
  return { kind: 'awareness', states };
}

function frame(write: (encoder: encoding.Encoder) => void): Uint8Array {
  const encoder = encoding.createEncoder();
  write(encoder);
  return encoding.toUint8Array(encoder);
}

const sync = (step: number, payload: Uint8Array) =>
  frame((encoder) => {
    encoding.writeVarUint(encoder, SYNC);
    encoding.writeVarUint(encoder, step);
    encoding.writeVarUint8Array(encoder, payload);
  });

export const step1Frame = (vector: Uint8Array) => sync(STEP_1, vector);
export const step2Frame = (doc: Y.Doc, known: Map<number, number>) =>
  sync(STEP_2, Y.encodeStateAsUpdate(doc, Y.encodeStateVector(known)));
export const updateFrame = (update: Uint8Array) => sync(UPDATE, update);

export const clientFrame = (clientId: number) =>
  frame((encoder) => {
    encoding.writeVarUint(encoder, CLIENT);
    encoding.writeVarUint(encoder, clientId);
  });

export const savedFrame = (stateVector: Uint8Array, frames: number) =>
  frame((encoder) => {
    encoding.writeVarUint(encoder, SAVED);
    encoding.writeVarUint8Array(encoder, stateVector);
    encoding.writeVarUint(encoder, frames);
  });

export const newsFrame = (news: News) =>
  frame((encoder) => {
    encoding.writeVarUint(encoder, NEWS);
    encoding.writeVarString(encoder, JSON.stringify(news));
  });

export function awarenessFrame(states: AwarenessState[]): Uint8Array {
  const payload = frame((encoder) => {
    encoding.writeVarUint(encoder, states.length);
    for (const { clientId, clock, state } of states) {
      encoding.writeVarUint(encoder, clientId);
      encoding.writeVarUint(encoder, clock);
      encoding.writeVarString(encoder, state);
    }
  });
  return frame((encoder) => {
    encoding.writeVarUint(encoder, AWARENESS);
    encoding.writeVarUint8Array(encoder, payload);
  });
}
