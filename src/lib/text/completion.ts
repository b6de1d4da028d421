import type { Message } from '#wire/task.ts';
import { startsWith, type Encoder } from './encoder.ts';
import { TextError } from './error.ts';

/** What follows a prompt when the model answers. */
export interface Completion {
  /** The one that ends the answer included. */
  ids: number[];
  /** 1 where the template marks an id as the model's own; null where all of them are. */
  mask: Uint8Array | null;
  /** Prompt and answer as one text would have other ids: the tokenizer merges over the seam. */
  merged: boolean;
}

/** A conversation with its answer, around the seam between prompt and answer. */
export interface Answered {
  /** The whole conversation, of which the prompt is the beginning; null where it is not (dropped thinking). */
  whole: string | null;
  /** Where in `generation`'s text the answer begins, and the text from there. */
  start: number;
  answer: string;
  generation: [start: number, end: number][];
}

/**
 * Ids are compared one by one with those of the whole conversation. Where the tokenizer merges over the seam the answer
 * is encoded by itself, since a model is asked with the prompt's ids and can only go on after them.
 */
export function completionOf(
  answered: Answered,
  prompt: readonly number[],
  { encoder, begin, eos }: { encoder: Encoder; begin: readonly number[]; eos: readonly number[] }
): Completion {
  const { whole, answer } = answered;
  const together = whole === null ? null : [...begin, ...encoder.encode(whole)];
  const joins = together !== null && startsWith(together, prompt);
  const all = joins ? together.slice(prompt.length) : encoder.encodeAfter(answer);
  const ids = endOnce(all, eos);
  const mask = maskOf(answered, all, encoder)?.subarray(0, ids.length) ?? null;
  if (mask && !mask.includes(1) && ids.length)
    throw new TextError('template_refused', 'The chat template marks nothing of this answer as generated.');
  // The end that a template does not write is the model's to write all the same.
  const full = mask && new Uint8Array(ids.length).fill(1);
  full?.set(mask!);
  return { ids, mask: full?.includes(0) ? full : null, merged: together !== null && !joins };
}

/** What a template puts after the end of an answer belongs to the next turn. */
function endOnce(answer: number[], eos: readonly number[]): number[] {
  const end = answer.findIndex((id) => eos.includes(id));
  if (end >= 0) return answer.slice(0, end + 1);
  return eos.length ? [...answer, eos[0]!] : answer;
}

/** As transformers marks: an id of which any character lies inside a mark counts. Null where nothing is marked. */
function maskOf({ start, answer, generation }: Answered, ids: number[], encoder: Encoder): Uint8Array | null {
  if (!generation.length) return null;
  const mask = new Uint8Array(ids.length);
  for (const [from, to] of generation) {
    const [first, last] = [Math.max(from - start, 0), to - start];
    if (last <= 0 || first >= answer.length) continue;
    mask.fill(1, before(answer, first, ids, encoder).whole, before(answer, last, ids, encoder).any);
  }
  return mask;
}

/** How many ids lie wholly before a place of the text, and how many begin before it. */
function before(
  text: string,
  place: number,
  ids: number[],
  encoder: Encoder
): { whole: number; any: number } {
  if (place === 0) return { whole: 0, any: 0 };
  if (place >= text.length) return { whole: ids.length, any: ids.length };
  const part = encoder.encodeAfter(text.slice(0, place));
  if (startsWith(ids, part)) return { whole: part.length, any: part.length };
  const same = part.findIndex((id, i) => ids[i] !== id);
  return { whole: same, any: same + 1 };
}

/** Tokens that steer the model may not stand in what people write: typed out, they would end a turn or begin another. */
export function refuseSpecial(contents: readonly string[]): (messages: readonly Message[]) => void {
  if (!contents.length) return () => {};
  const longestFirst = [...contents].sort((a, b) => b.length - a.length);
  const pattern = new RegExp(
    longestFirst.map((one) => one.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&')).join('|')
  );
  return (messages) => {
    for (const { content } of messages) {
      const found = pattern.exec(content);
      if (!found) continue;
      throw new TextError(
        'special_in_text',
        `The text contains "${found[0]}", which steers this model and is no text to it; write it another way.`
      );
    }
  };
}
