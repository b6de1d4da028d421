import * as Y from 'yjs';
import type { Struct } from './inspect.ts';
import { PARTS, type Part } from './shapes.ts';

/** A key that the document has, in which of its maps. */
interface Place {
  part: Part & { kind: 'map' };
  key: string;
}

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
  /** Of the values that the document does not have yet. */
  const places = new Map<number, Place>();

  function placeFor(struct: Struct, doc: Y.Doc): Place | null {
    if (!(struct instanceof Y.Item) || !struct.origin || struct.rightOrigin) return null;
    if (!(struct.content instanceof Y.ContentAny) || struct.length !== 1) return null;
    if (struct.id.clock >= CLOCKS) return null;
    const { client, clock } = struct.origin;
    const place = (clock < CLOCKS && places.get(numberOf(client, clock))) || placeIn(doc, client, clock);
    return place?.part.value(struct.content.arr[0]) ? place : null;
  }

  return {
    take(structs, doc) {
      const found = structs.map((struct) => placeFor(struct, doc));
      if (!found.length || found.includes(null)) return false;
      found.forEach((place, at) => {
        const { client, clock } = structs[at]!.id;
        places.set(numberOf(client, clock), place!);
      });
      return true;
    },
    forget(doc) {
      for (const number of places.keys())
        if (number % CLOCKS < Y.getState(doc.store, Math.floor(number / CLOCKS))) places.delete(number);
    }
  };
}

function placeIn(doc: Y.Doc, client: number, clock: number): Place | null {
  if (clock >= Y.getState(doc.store, client)) return null;
  const structs = doc.store.clients.get(client)!;
  const item = structs[Y.findIndexSS(structs, clock)];
  if (!(item instanceof Y.Item) || item.parentSub === null) return null;
  for (const [name, part] of Object.entries(PARTS))
    if (part.kind === 'map' && item.parent === doc.getMap(name)) return { part, key: item.parentSub };
  return null;
}
