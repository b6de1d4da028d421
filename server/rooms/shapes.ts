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
const SPAN_ID = /^[a-z0-9]{8,32}$/;
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
    value: (value) =>
      PLAIN.includes(typeof value) &&
      (typeof value !== 'string' || value.length <= limits.rooms.value_length_max),
    says: 'ratings are plain values by criterion/output.'
  },
  /** Which output `edited` is a better version of. */
  editing: {
    kind: 'map',
    key: (key) => key === 'output',
    value: (value) => typeof value === 'string' && value.length <= limits.rooms.value_length_max,
    says: 'editing names an output.'
  },
  edited: { kind: 'text', length_max: limits.rooms.edited_length_max },
  strength: {
    kind: 'map',
    key: (key) => key === 'best',
    value: (value) => value === 1 || value === 2 || value === 3,
    says: 'strength is 1, 2 or 3.'
  },
  spans: {
    kind: 'map',
    key: (key) => SPAN_ID.test(key),
    value: (value) => typeof value === 'string' && value.length <= limits.rooms.span_length_max,
    says: 'spans are short texts by ids of their own.'
  },
  note: { kind: 'text', length_max: limits.rooms.note_length_max }
};
