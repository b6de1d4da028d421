/** A row of the ranking as people see it: its number is what a card dropped there gets, its place is the key printed on it. */
export interface Row {
  number: number;
  outputs: string[];
}

/**
 * The rows of a ranking of `outputs`, as many as there are outputs, best first. While every rank is one of the whole
 * numbers 1 … K, rows are those numbers and may stand empty, so that places can be typed in any order. Once a card
 * was put between two others, tiers close up and the empty rows follow after the last.
 */
export function rowsOf(ranks: Readonly<Record<string, number>>, outputs: readonly string[]): Row[] {
  const ranked = outputs.filter((output) => Number.isFinite(ranks[output]));
  const numbers = [...new Set(ranked.map((output) => ranks[output]!))].sort((a, b) => a - b);
  const whole = numbers.every((rank) => Number.isInteger(rank) && rank >= 1 && rank <= outputs.length);
  const row = (number: number): Row => ({
    number,
    outputs: ranked.filter((output) => ranks[output] === number)
  });
  if (whole) return outputs.map((_, at) => row(at + 1));
  const after = Math.floor(numbers.at(-1)!) + 1;
  const empty = Array.from({ length: outputs.length - numbers.length }, (_, at) => after + at);
  return [...numbers, ...empty].map(row);
}

/**
 * The number for a card dropped before the row at `gap` (0 … K): random in the middle half of the gap between its
 * neighbours, so that two people who drop different cards at one place make no false tie. Null where the gap is none:
 * beside an empty row, which takes the card itself.
 */
export function numberAtGap(rows: readonly Row[], gap: number, random = Math.random): number | null {
  const [above, below] = [rows[gap - 1], rows[gap]];
  if ((above && !above.outputs.length) || (below && !below.outputs.length)) return null;
  if (!above && !below) return null;
  const low = above?.number ?? below!.number - 1;
  const high = below?.number ?? above!.number + 1;
  return low + (high - low) * (0.25 + random() / 2);
}

/** The place (1 is best) of an output among the rows; null where it is unranked. */
export function placeOf(rows: readonly Row[], output: string): number | null {
  const at = rows.findIndex((row) => row.outputs.includes(output));
  return at < 0 ? null : at + 1;
}
