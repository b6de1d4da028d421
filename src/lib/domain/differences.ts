export interface Piece {
  text: string;
  differs: boolean;
}

/** Beyond this the comparison would hold up the page; then nothing is marked. */
const WORDS_MAX = 10_000;

/** Which words of each text the other has not, in order: the longest common subsequence stays unmarked. */
export function differences(a: string, b: string): [Piece[], Piece[]] {
  const [left, right] = [words(a), words(b)];
  if (left.length > WORDS_MAX || right.length > WORDS_MAX)
    return [[{ text: a, differs: false }], [{ text: b, differs: false }]];
  const [keptLeft, keptRight] = matched(left, right);
  return [join(left, keptLeft), join(right, keptRight)];
}

export interface Change {
  text: string;
  kind: 'same' | 'removed' | 'added';
}

/** What was done to a text, in one text: what was removed stands before what came in its place. */
export function changes(before: string, after: string): Change[] {
  const [left, right] = [words(before), words(after)];
  if (left.length > WORDS_MAX || right.length > WORDS_MAX)
    return [
      { text: before, kind: 'removed' },
      { text: after, kind: 'added' }
    ];
  const [keptLeft, keptRight] = matched(left, right);
  const found: Change[] = [];
  const add = (text: string, kind: Change['kind']) => {
    const last = found.at(-1);
    if (last?.kind === kind) last.text += text;
    else found.push({ text, kind });
  };
  let i = 0;
  for (const [j, word] of right.entries()) {
    while (i < left.length && !keptLeft.has(i)) add(left[i++]!, 'removed');
    add(word, keptRight.has(j) ? 'same' : 'added');
    if (keptRight.has(j)) i++;
  }
  while (i < left.length) add(left[i++]!, 'removed');
  return found;
}

/** A word with the space before it, so that the pieces put together are the text. */
const words = (text: string) => text.match(/\s*\S+|\s+$/g) ?? [];

/**
 * Which words of each side stand in a longest common subsequence, in bits: for every word of the right side a row with a
 * zero where a word of the left side makes the subsequence longer (Hyyrö 2004, "Bit-parallel LCS-length computation
 * revisited"), then back through the rows. Time and space are the product of the lengths over 32.
 */
function matched(left: string[], right: string[]): [Set<number>, Set<number>] {
  const width = Math.ceil(left.length / BITS);
  const rows = new Uint32Array((right.length + 1) * width).fill(0xffffffff, 0, width);
  const places = placesOf(left, width);
  for (const [j, word] of right.entries())
    nextRow(
      rows.subarray(j * width, (j + 1) * width),
      places.get(word.trim()),
      rows.subarray((j + 1) * width)
    );
  const isLevel = (i: number, j: number) => ((rows[j * width + (i >>> 5)]! >>> (i & 31)) & 1) === 1;
  const kept: [Set<number>, Set<number>] = [new Set(), new Set()];
  for (let i = left.length, j = right.length; i > 0 && j > 0;) {
    if (isLevel(i - 1, j)) i--;
    else if (!isLevel(i - 1, j - 1)) j--;
    else {
      kept[0].add(--i);
      kept[1].add(--j);
    }
  }
  return kept;
}

const BITS = 32;

/** For each word, a bit for every place where it stands. */
function placesOf(all: string[], width: number): Map<string, Uint32Array> {
  const places = new Map<string, Uint32Array>();
  for (const [i, text] of all.entries()) {
    const word = text.trim();
    const bits = places.get(word) ?? new Uint32Array(width);
    bits[i >>> 5]! |= 1 << (i & 31);
    places.set(word, bits);
  }
  return places;
}

/** `(row + (row & places)) | (row & ~places)`, as one number of many words. */
function nextRow(row: Uint32Array, places: Uint32Array | undefined, next: Uint32Array): void {
  if (!places) return next.set(row);
  let carry = 0;
  for (const [at, bits] of row.entries()) {
    const met = (bits & places[at]!) >>> 0;
    const sum = bits + met + carry;
    carry = sum > 0xffffffff ? 1 : 0;
    next[at] = sum | (bits & ~places[at]!);
  }
}

function join(all: string[], kept: Set<number>): Piece[] {
  const pieces: Piece[] = [];
  const add = (text: string, differs: boolean) => {
    const last = pieces.at(-1);
    if (last?.differs === differs) last.text += text;
    else if (text) pieces.push({ text, differs });
  };
  for (const [i, text] of all.entries()) {
    const word = text.trimStart();
    const differs = !kept.has(i) && word !== '';
    // A mark begins at a word, not at the space before it.
    const within = differs && pieces.at(-1)?.differs === true;
    add(text.slice(0, text.length - word.length), within);
    add(word, differs);
  }
  return pieces;
}
