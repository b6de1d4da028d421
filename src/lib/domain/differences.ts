export interface Piece {
  text: string;
  differs: boolean;
}

/** Beyond this the table of the comparison would hold up the page; then nothing is marked. */
const WORDS_MAX = 2_000;

/** Which words of each text the other has not, in order: the longest common subsequence stays unmarked. */
export function differences(a: string, b: string): [Piece[], Piece[]] {
  const [left, right] = [words(a), words(b)];
  if (left.length > WORDS_MAX || right.length > WORDS_MAX)
    return [[{ text: a, differs: false }], [{ text: b, differs: false }]];
  const [keptLeft, keptRight] = matched(left, right);
  return [join(left, keptLeft), join(right, keptRight)];
}

/** A word with the space before it, so that the pieces put together are the text. */
const words = (text: string) => text.match(/\s*\S+|\s+$/g) ?? [];

function matched(left: string[], right: string[]): [Set<number>, Set<number>] {
  const width = right.length + 1;
  const lengths = new Uint16Array((left.length + 1) * width);
  const same = (i: number, j: number) => left[i]!.trim() === right[j]!.trim();
  for (let i = left.length - 1; i >= 0; i--)
    for (let j = right.length - 1; j >= 0; j--)
      lengths[i * width + j] = same(i, j)
        ? lengths[(i + 1) * width + j + 1]! + 1
        : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!);
  const kept: [Set<number>, Set<number>] = [new Set(), new Set()];
  for (let i = 0, j = 0; i < left.length && j < right.length;) {
    if (same(i, j)) {
      kept[0].add(i++);
      kept[1].add(j++);
    } else if (lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!) i++;
    else j++;
  }
  return kept;
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
