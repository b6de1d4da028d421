/** Text of ids that come one after another. */
export interface TextStream {
  /** The text that this id completes; empty while a character is not whole. */
  push(id: number): string;
  /** What is left at the end, a broken character included. */
  end(): string;
}

const BROKEN = '\ufffd';

/**
 * An id alone does not tell its text: a character may be spread over several, and many tokenizers drop the first space
 * of what they decode. So each step decodes the ids since the last whole piece together with that piece, and what is
 * longer than that piece alone is new.
 */
export function textStream(decode: (ids: number[]) => string): TextStream {
  let ids: number[] = [];
  /** Ids before this one were given out, and stay as context until the next whole piece. */
  let given = 0;

  function take(final: boolean): string {
    const before = decode(ids.slice(0, given));
    const all = decode(ids);
    if (!final && all.endsWith(BROKEN)) return '';
    const fresh = all.slice(before.length);
    if (fresh) {
      ids = ids.slice(given);
      given = ids.length;
    }
    return fresh;
  }

  return {
    push(id) {
      ids.push(id);
      return take(false);
    },
    end: () => (ids.length > given ? take(true) : '')
  };
}
