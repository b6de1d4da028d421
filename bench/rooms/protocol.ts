import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import * as Y from 'yjs';

/** How a client speaks to a server: the same edits in the same documents, each in that server's own frames. */
export interface Protocol {
  url(port: number, room: string): string;
  /** What is said first. */
  hello(room: string): Uint8Array | null;
  /** Whether this frame lets the client in; the client id to edit under, null where it may choose one. */
  admitted(frame: Uint8Array): { clientId: number | null } | null;
  /** The beginning of a synchronisation, as a fresh page sends it. */
  sync(room: string): Uint8Array[];
  update(room: string, update: Uint8Array): Uint8Array;
}

const SYNC = 0;
const AUTH = 2;
const CLIENT = 101;

const bytes = (write: (encoder: encoding.Encoder) => void) => {
  const encoder = encoding.createEncoder();
  write(encoder);
  return encoding.toUint8Array(encoder);
};
const EMPTY = Y.encodeStateAsUpdate(new Y.Doc());
const NO_STATE = Y.encodeStateVector(new Y.Doc());

const sync = (room: string | null, step: number, payload: Uint8Array) =>
  bytes((encoder) => {
    if (room !== null) encoding.writeVarString(encoder, room);
    encoding.writeVarUint(encoder, SYNC);
    encoding.writeVarUint(encoder, step);
    encoding.writeVarUint8Array(encoder, payload);
  });

export const concord: Protocol = {
  url: (port, room) => `ws://127.0.0.1:${port}/yjs/${room}`,
  hello: () => null,
  admitted(frame) {
    const decoder = decoding.createDecoder(frame);
    return decoding.readVarUint(decoder) === CLIENT ? { clientId: decoding.readVarUint(decoder) } : null;
  },
  sync: () => [sync(null, 0, NO_STATE), sync(null, 1, EMPTY)],
  update: (_, update) => sync(null, 2, update)
};

export const hocuspocus: Protocol = {
  url: (port) => `ws://127.0.0.1:${port}/`,
  hello: (room) =>
    bytes((encoder) => {
      encoding.writeVarString(encoder, room);
      encoding.writeVarUint(encoder, AUTH);
      encoding.writeVarUint(encoder, 0);
      encoding.writeVarString(encoder, 'token');
      encoding.writeVarString(encoder, '4.7.0');
    }),
  admitted(frame) {
    const decoder = decoding.createDecoder(frame);
    decoding.readVarString(decoder);
    const AUTHENTICATED = 2;
    return decoding.readVarUint(decoder) === AUTH && decoding.readVarUint(decoder) === AUTHENTICATED
      ? { clientId: null }
      : null;
  },
  sync: (room) => [sync(room, 0, NO_STATE), sync(room, 1, EMPTY)],
  update: (room, update) => sync(room, 2, update)
};
