import type * as decoding from 'lib0/decoding';
import * as Y from 'yjs';
import { limits } from '../limits.ts';
import { malformed, notAllowed, tooLarge } from './refusal.ts';

/** What an update would do, told from its bytes alone; nothing has been applied. */
export interface Inspection {
  /**
   * `nothing`: all of it is known; `waits`: it builds on edits that are not here yet, which an honest page sends when it
   * edits between connecting and having synced.
   */
  verdict: 'new' | 'nothing' | 'waits';
}

export interface Known {
  /** How far the edits of this Yjs client are known. */
  clock(clientId: number): number;
  /** Whether the sender was given this client id in this room. */
  mayUse(clientId: number): boolean;
  isDeleted(clientId: number, clock: number, length: number): boolean;
}

interface Range {
  from: number;
  to: number;
}

/**
 * Throws a `Refusal` for an update that is not Yjs V1, that writes under a client id its sender was not given, or that
 * holds anything but plain values and text. A forged struct of sixteen bytes with a victim's client id would make the
 * server drop every later edit of the victim: hence before applying, and hence by who was given which id.
 */
export function inspectUpdate(update: Uint8Array, known: Known): Inspection {
  const { structs, deletions } = decode(update);
  const ranges = rangesOf(structs);
  const fresh = [...ranges].filter(([client, { to }]) => to > known.clock(client));
  for (const [client] of fresh)
    if (!known.mayUse(client))
      throw notAllowed('The update writes under a client id that is not yours here.');
  for (const struct of structs) checkContent(struct);

  const reach = (client: number) => Math.max(known.clock(client), ranges.get(client)?.to ?? 0);
  const gap = fresh.some(([client, { from }]) => from > known.clock(client));
  const missing = structs.some((struct) => refersBeyond(struct, reach));
  const early = deletions.some(({ client, to }) => to > reach(client));
  if (gap || missing || early) return { verdict: 'waits' };
  const deletes = deletions.some(({ client, from, to }) => !known.isDeleted(client, from, to - from));
  return { verdict: fresh.length || deletes ? 'new' : 'nothing' };
}

type Struct = Y.Item | Y.GC | Y.Skip;

function decode(update: Uint8Array): {
  structs: Struct[];
  deletions: { client: number; from: number; to: number }[];
} {
  let read: decoding.Decoder | undefined;
  class Watched extends Y.UpdateDecoderV1 {
    constructor(decoder: decoding.Decoder) {
      super(decoder);
      read = decoder;
    }
  }
  let decoded: ReturnType<typeof Y.decodeUpdateV2>;
  try {
    decoded = Y.decodeUpdateV2(update, Watched as unknown as typeof Y.UpdateDecoderV2);
  } catch {
    throw malformed('The update is not a Yjs V1 update.');
  }
  // A V2 update reads as an empty V1 update with a rest.
  if (read!.pos !== update.length) throw malformed('The update is not a Yjs V1 update.');
  const deletions = [...decoded.ds.clients].flatMap(([client, items]) =>
    items.map(({ clock, len }) => ({ client, from: clock, to: clock + len }))
  );
  for (const { from, to } of deletions) checkClocks(from, to);
  return { structs: decoded.structs, deletions };
}

function rangesOf(structs: Struct[]): Map<number, Range> {
  const ranges = new Map<number, Range>();
  let last: number | null = null;
  for (const struct of structs) {
    const { client, clock } = struct.id;
    const to = clock + struct.length;
    if (client === last) ranges.get(client)!.to = to;
    // Yjs itself would keep only the second block of a client that stands twice.
    else if (ranges.has(client)) throw malformed('The update names a client twice.');
    else ranges.set(client, { from: clock, to });
    last = client;
  }
  for (const { from, to } of ranges.values()) {
    checkClocks(from, to);
    if (to - from > limits.rooms.update_clocks_max)
      throw tooLarge('The update holds too many edits at once.');
  }
  return ranges;
}

function checkClocks(from: number, to: number): void {
  const CLOCK_MAX = 2 ** 31;
  if (!(from >= 0 && to >= from && to < CLOCK_MAX)) throw malformed('The update has an impossible clock.');
}

function checkContent(struct: Struct): void {
  if (struct instanceof Y.GC) return;
  if (!(struct instanceof Y.Item)) throw malformed('The update has a hole.');
  const { content } = struct;
  if (content instanceof Y.ContentString || content instanceof Y.ContentDeleted) return;
  if (content instanceof Y.ContentAny && content.arr.length === 1 && isPlain(content.arr[0])) return;
  throw malformed('A document holds finite numbers, short values and plain text only.');
}

function isPlain(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  return typeof value === 'boolean' || (typeof value === 'string' && value.length <= 64);
}

/** Whether the struct hangs on one that neither the room nor the update has. */
function refersBeyond(struct: Struct, reach: (client: number) => number): boolean {
  if (!(struct instanceof Y.Item)) return false;
  const parent = struct.parent instanceof Y.ID ? struct.parent : null;
  return [struct.origin, struct.rightOrigin, parent].some(
    (id) => id !== null && id.clock >= reach(id.client)
  );
}
