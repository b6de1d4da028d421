import * as Y from 'yjs';
import type { Struct } from './inspect.ts';
import { PARTS, type Part } from './shapes.ts';

type MapPart = Part & { kind: 'map' };

export interface Overwrites {
  /**
   * Whether an update with these structs is known to fit without being tried: it only gives keys that the document has
   * other values. It is remembered until the document has it.
   */
  take(structs: readonly Struct[], doc: Y.Doc): boolean;
  /** Forgets what the document has by now. */
  forget(doc: Y.Doc): void;
}

const CLOCKS = 2 ** 21;
/** One number for an id: client ids have 32 bits. */
const numberOf = (client: number, clock: number) => client * CLOCKS + clock;

/**
 * A value goes to the key of the value that it names as its origin: Yjs copies the key from there. What an update deletes
 * needs no look: a document with less in it is in shape too.
 */
export function createOverwrites(): Overwrites {
  /** Where the values are that the document does not have yet. */
  const taken = new Map<number, MapPart>();

  function partFor(struct: Struct, doc: Y.Doc): MapPart | null {
    if (!(struct instanceof Y.Item) || !struct.origin || struct.rightOrigin) return null;
    if (!(struct.content instanceof Y.ContentAny) || struct.length !== 1) return null;
    if (struct.id.clock >= CLOCKS) return null;
    const { client, clock } = struct.origin;
    const part = (clock < CLOCKS && taken.get(numberOf(client, clock))) || partIn(doc, client, clock);
    return part?.value(struct.content.arr[0]) ? part : null;
  }

  return {
    take(structs, doc) {
      const found = structs.map((struct) => partFor(struct, doc));
      if (!found.length || found.includes(null)) return false;
      found.forEach((part, at) => {
        const { client, clock } = structs[at]!.id;
        taken.set(numberOf(client, clock), part!);
      });
      return true;
    },
    forget(doc) {
      for (const number of taken.keys())
        if (number % CLOCKS < Y.getState(doc.store, Math.floor(number / CLOCKS))) taken.delete(number);
    }
  };
}

/** The map in which a value stands, under a key that the document has. */
function partIn(doc: Y.Doc, client: number, clock: number): MapPart | null {
  if (clock >= Y.getState(doc.store, client)) return null;
  const structs = doc.store.clients.get(client)!;
  const item = structs[Y.findIndexSS(structs, clock)];
  if (!(item instanceof Y.Item) || item.parentSub === null) return null;
  for (const [name, part] of Object.entries(PARTS))
    if (part.kind === 'map' && item.parent === doc.getMap(name)) return part;
  return null;
}
