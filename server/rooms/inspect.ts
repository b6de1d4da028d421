import * as decoding from 'lib0/decoding';
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
  structs: readonly Struct[];
  /** Structs and deletions: each may make Yjs scan the document. */
  parts: number;
  /** Whether it repeats edits that are known. What it says of those is unchecked, and must go no further. */
  repeats: boolean;
  /** How far the edits of each client are known once it is taken, where it has some. */
  reaches: Reach[];
}

/** A client, and how far its edits are known. */
export type Reach = readonly [client: number, clock: number];

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

interface Deletion extends Range {
  client: number;
}

/**
 * Throws a `Refusal` for an update that is not Yjs V1, that writes under a client id its sender was not given, or that
 * holds anything but plain values and text. A forged struct of sixteen bytes with a victim's client id would make the
 * server drop every later edit of the victim: hence before applying, and hence by who was given which id.
 *
 * The time this takes grows with the update's and the document's length, never with their product: the one loop over
 * the document, `isDeleted`, is asked for ranges that do not overlap.
 */
export function inspectUpdate(update: Uint8Array, known: Known): Inspection {
  const { structs, deletions, blocks } = decode(update);
  const ranges = rangesOf(structs);
  // Yjs itself would keep only the last block of a client that stands twice.
  if (blocks !== ranges.size) throw malformed('The update names a client twice.');
  const fresh = [...ranges].filter(([client, { to }]) => to > known.clock(client));
  for (const [client] of fresh)
    if (!known.mayUse(client))
      throw notAllowed('The update writes under a client id that is not yours here.');
  for (const range of ranges.values()) checkLength(range);
  for (const struct of structs) checkStruct(struct);

  const parts = structs.length + deletions.length;
  const reaches = fresh.map(([client, { to }]): Reach => [client, to]);
  const repeats = [...ranges].some(([client, { from }]) => from < known.clock(client));
  const reach = (client: number) => Math.max(known.clock(client), ranges.get(client)?.to ?? 0);
  const gap = fresh.some(([client, { from }]) => from > known.clock(client));
  const missing = structs.some((struct) => refersBeyond(struct, reach));
  const early = deletions.some(({ client, to }) => to > reach(client));
  const told = { structs, parts, repeats, reaches };
  if (gap || missing || early) return { verdict: 'waits', ...told };
  const deletes = () => deletions.some(({ client, from, to }) => !known.isDeleted(client, from, to - from));
  return { verdict: fresh.length || deletes() ? 'new' : 'nothing', ...told };
}

/** The update without the edits that are known; an honest page repeats some when it comes back. */
export function withoutKnown(update: Uint8Array, known: Pick<Known, 'clock'>): Uint8Array {
  const clients = [...Y.parseUpdateMeta(update).to.keys()];
  const clocks = new Map(clients.map((client) => [client, known.clock(client)]));
  return Y.diffUpdate(update, Y.encodeStateVector(clocks));
}

export type Struct = Y.Item | Y.GC | Y.Skip;

interface Decoded {
  /** How many clients it says to have structs of. */
  blocks: number;
  structs: Struct[];
  deletions: Deletion[];
}

/** Yjs does not say how far it has read. */
let read: decoding.Decoder | undefined;
class Watched extends Y.UpdateDecoderV1 {
  constructor(decoder: decoding.Decoder) {
    super(decoder);
    read = decoder;
  }
}

function decode(update: Uint8Array): Decoded {
  let decoded: ReturnType<typeof Y.decodeUpdateV2>;
  try {
    decoded = Y.decodeUpdateV2(update, Watched as unknown as typeof Y.UpdateDecoderV2);
  } catch {
    throw malformed('The update is not a Yjs V1 update.');
  }
  // A V2 update reads as an empty V1 update with a rest.
  if (read!.pos !== update.length) throw malformed('The update is not a Yjs V1 update.');
  const blocks = decoding.readVarUint(decoding.createDecoder(update));
  return { blocks, structs: decoded.structs, deletions: deletionsOf(decoded.ds) };
}

/** Yjs writes a client's deletions in order and merged; overlapping ones would be walked through again and again. */
function deletionsOf({ clients }: ReturnType<typeof Y.decodeUpdateV2>['ds']): Deletion[] {
  const deletions: Deletion[] = [];
  for (const [client, items] of clients) {
    let last = 0;
    for (const { clock: from, len } of items) {
      checkClocks(from, from + len);
      if (from < last) throw malformed('The deletions of the update overlap.');
      last = from + len;
      deletions.push({ client, from, to: last });
    }
  }
  return deletions;
}

function rangesOf(structs: Struct[]): Map<number, Range> {
  const ranges = new Map<number, Range>();
  for (const struct of structs) {
    const { client, clock } = struct.id;
    const range = ranges.get(client);
    if (range && range.to !== clock) throw malformed('The update names a client twice.');
    ranges.set(client, { from: range?.from ?? clock, to: clock + struct.length });
  }
  return ranges;
}

function checkLength({ from, to }: Range): void {
  checkClocks(from, to);
  if (to - from > limits.rooms.update_clocks_max) throw tooLarge('The update holds too many edits at once.');
}

function checkClocks(from: number, to: number): void {
  const CLOCK_MAX = 2 ** 31;
  if (!(from >= 0 && to >= from && to < CLOCK_MAX)) throw malformed('The update has an impossible clock.');
}

function checkStruct(struct: Struct): void {
  if (struct instanceof Y.GC) return;
  if (!(struct instanceof Y.Item)) throw malformed('The update has a hole.');
  if (struct.parent instanceof Y.ID) throw malformed('A document has no parts within parts.');
  const { content } = struct;
  if (content instanceof Y.ContentString || content instanceof Y.ContentDeleted) return;
  // Several values: what was overwritten one after the other, and is kept to be taken back.
  if (content instanceof Y.ContentAny && content.arr.every(isPlain)) return;
  throw malformed('A document holds finite numbers, short values and plain text only.');
}

function isPlain(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'string') return value.length <= limits.rooms.span_length_max;
  return typeof value === 'boolean';
}

/** Whether the struct hangs on one that neither the room nor the update has. */
function refersBeyond(struct: Struct, reach: (client: number) => number): boolean {
  if (!(struct instanceof Y.Item)) return false;
  return [struct.origin, struct.rightOrigin].some((id) => id !== null && id.clock >= reach(id.client));
}
