import { describe, expect, it } from 'vitest';
import { csv, extent, linePath, nearest, niceScale, rows, thin, type Point } from './chart.ts';

describe('niceScale', () => {
  it('covers the range with round steps', () => {
    expect(niceScale(0.13, 0.69)).toEqual({ low: 0, high: 0.8, ticks: [0, 0.2, 0.4, 0.6, 0.8] });
    expect(niceScale(-3, 7).ticks).toEqual([-5, 0, 5, 10]);
  });
  it('gives a flat line room and an empty chart a frame', () => {
    const flat = niceScale(0.5, 0.5);
    expect(flat.low).toBeLessThan(0.5);
    expect(flat.high).toBeGreaterThan(0.5);
    expect(niceScale(...extent([]))).toEqual({ low: 0, high: 1, ticks: [0, 1] });
  });
});

describe('nearest', () => {
  const points: Point[] = [
    [1, 10],
    [4, 20],
    [10, 30]
  ];
  it('finds the closest step, the earlier one on a tie', () => {
    expect(nearest(points, 3)).toEqual([4, 20]);
    expect(nearest(points, 7)).toEqual([4, 20]);
    expect(nearest(points, 99)).toEqual([10, 30]);
    expect(nearest(points, -5)).toEqual([1, 10]);
    expect(nearest([], 1)).toBeNull();
  });
});

describe('thin', () => {
  it('keeps a spike of one step in ten thousand', () => {
    const points = Array.from({ length: 10_000 }, (_, x): Point => [x, x === 7_123 ? 99 : Math.sin(x)]);
    const kept = thin(points, 300);
    expect(kept.length).toBeLessThanOrEqual(600);
    expect(kept).toContainEqual([7_123, 99]);
    expect(kept.every((point, at) => at === 0 || kept[at - 1]![0] < point[0])).toBe(true);
  });
});

describe('linePath', () => {
  it('breaks at what is not a number', () => {
    const path = linePath([[0, 1], [1, NaN], [2, 3]], (x) => x, (y) => y); // prettier-ignore
    expect(path).toBe('M0.0 1.0M2.0 3.0');
  });
});

describe('the table behind', () => {
  const series = [
    { name: 'loss', tone: 1 as const, points: [[1, 0.6931471805599453], [2, 0.5]] as Point[] }, // prettier-ignore
    { name: 'eval "loss"', tone: 1 as const, points: [[2, 0.55]] as Point[] }
  ];
  it('has a row for each step of any series', () => {
    expect(rows(series)).toEqual([
      [1, [0.6931471805599453, null]],
      [2, [0.5, 0.55]]
    ]);
  });
  it('exports every digit and quotes names', () => {
    expect(csv('step', series)).toBe('step,loss,"eval ""loss"""\r\n1,0.6931471805599453,\r\n2,0.5,0.55\r\n');
  });
});
