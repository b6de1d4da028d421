export type Point = readonly [x: number, y: number];

export interface Series {
  name: string;
  points: readonly Point[];
  /** 1, 2 or 3: the chart's line colours. */
  tone: 1 | 2 | 3;
  /** Held-out figures are dashed and carry dots, so that they read without colour. */
  dashed?: boolean;
}

export interface Scale {
  low: number;
  high: number;
  ticks: number[];
}

/** Round steps (1, 2, 5 times a power of ten) that cover the range, about `count` of them; a flat range gets room around it. */
export function niceScale(low: number, high: number, count = 4): Scale {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return { low: 0, high: 1, ticks: [0, 1] };
  if (low === high) {
    const room = Math.abs(low) || 1;
    low -= room / 2;
    high += room / 2;
  }
  const raw = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = Array.from({ length: last - first + 1 }, (_, at) =>
    Number(((first + at) * step).toPrecision(12))
  );
  return { low: ticks[0]!, high: ticks[ticks.length - 1]!, ticks };
}

export function extent(values: Iterable<number>): [number, number] {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** The point whose x is nearest; points stand in order of x. */
export function nearest(points: readonly Point[], x: number): Point | null {
  let low = 0;
  let high = points.length - 1;
  if (high < 0) return null;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle]![0] < x) low = middle + 1;
    else high = middle;
  }
  const after = points[low]!;
  const before = points[low - 1];
  return before && x - before[0] <= after[0] - x ? before : after;
}

/**
 * At most two points for each of `columns` slices of x: the lowest and the highest, in order, so that a spike of one
 * step in ten thousand still shows. Averages would hide it.
 */
export function thin(points: readonly Point[], columns: number): readonly Point[] {
  if (points.length <= columns * 2) return points;
  const kept: Point[] = [];
  for (let column = 0; column < columns; column++) {
    const from = Math.floor((column * points.length) / columns);
    const to = Math.floor(((column + 1) * points.length) / columns);
    const slice = points.slice(from, to);
    const lowest = slice.reduce((best, point) => (point[1] < best[1] ? point : best));
    const highest = slice.reduce((best, point) => (point[1] > best[1] ? point : best));
    if (lowest === highest) kept.push(lowest);
    else kept.push(...(lowest[0] < highest[0] ? [lowest, highest] : [highest, lowest]));
  }
  return kept;
}

/** SVG path data; points that are not finite break the line. */
export function linePath(
  points: readonly Point[],
  toX: (x: number) => number,
  toY: (y: number) => number
): string {
  let path = '';
  let pen = 'M';
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) {
      pen = 'M';
      continue;
    }
    path += `${pen}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`;
    pen = 'L';
  }
  return path;
}

/** One row for each x that any series has: x, then each series' y or null. */
export function rows(series: readonly Series[]): [number, (number | null)[]][] {
  const byX = new Map<number, (number | null)[]>();
  series.forEach((one, at) => {
    for (const [x, y] of one.points) {
      let row = byX.get(x);
      if (!row) byX.set(x, (row = series.map(() => null)));
      row[at] = y;
    }
  });
  return [...byX].sort(([a], [b]) => a - b);
}

/** RFC 4180; full precision, because a person who takes the table wants the numbers and not their looks. */
export function csv(xLabel: string, series: readonly Series[]): string {
  const cell = (text: string) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [[xLabel, ...series.map((one) => one.name)].map(cell).join(',')];
  for (const [x, values] of rows(series)) lines.push([x, ...values.map((value) => value ?? '')].join(','));
  return lines.join('\r\n') + '\r\n';
}
