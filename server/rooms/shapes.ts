import { limits } from '../limits.ts';

/** What a document may hold, part by part. A part that is not named here is refused, and so is any other kind of it. */
export type Part =
  | {
      kind: 'map';
      /** Also asked for keys that were removed: they stay in the document. */
      key(key: string, outputs: ReadonlySet<string>): boolean;
      value(value: unknown): boolean;
      /** Completes "The document's …". */
      says: string;
    }
  | { kind: 'text'; length_max: number };

const CRITERION = /^[a-z][a-z0-9_]{0,39}$/;
const PLAIN = ['number', 'string', 'boolean'];

/** A lobby has no document: nobody has the right to write there. */
export const PARTS: Record<string, Part> = {
  ranks: {
    kind: 'map',
    key: (key, outputs) => outputs.has(key),
    value: (value) => typeof value === 'number' && Number.isFinite(value),
    says: 'ranks are finite numbers by outputs of its task.'
  },
  ratings: {
    kind: 'map',
    key(key, outputs) {
      const [criterion, output, ...rest] = key.split('/');
      return CRITERION.test(criterion!) && outputs.has(output ?? '') && !rest.length;
    },
    value: (value) => PLAIN.includes(typeof value),
    says: 'ratings are plain values by criterion/output.'
  },
  note: { kind: 'text', length_max: limits.rooms.note_length_max }
};
