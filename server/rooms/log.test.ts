import { afterEach, expect, test, vi } from 'vitest';
import { limits } from '../limits.ts';
import { createLog, type Row } from './log.ts';

afterEach(() => vi.useRealTimers());

const COMMIT_MS = 2;
const row = (seq: number, room = 'table/x'): Row => ({
  ...{ room, seq, userId: 'ada' },
  bytes: new Uint8Array([1])
});

/** Times at which commits of so many rows a second began, and how many rows each had. */
async function commitsAt(perSecond: number, seconds: number) {
  vi.useFakeTimers();
  const commits: { at: number; rows: number }[] = [];
  const written = vi.fn();
  const log = createLog(
    async (rows) => {
      commits.push({ at: performance.now(), rows: rows.length });
      await new Promise((resolve) => setTimeout(resolve, COMMIT_MS));
    },
    { committed: (rows) => rows.forEach(({ seq }) => written(seq)), failed: () => {} }
  );
  const all = perSecond * seconds;
  for (let seq = 1; seq <= all; seq++) {
    log.append(row(seq));
    if (seq % (perSecond / 500) === 0) await vi.advanceTimersByTimeAsync(2);
  }
  const settled = log.settled();
  await vi.advanceTimersByTimeAsync(limits.rooms.commit_interval_ms_max + COMMIT_MS);
  await settled;
  expect(written.mock.calls.map(([seq]) => seq)).toEqual(Array.from({ length: all }, (_, n) => n + 1));
  return commits;
}

test('few rows a second are written as they come', async () => {
  const commits = await commitsAt(500, 1);
  expect(Math.max(...commits.map(({ rows }) => rows))).toBeLessThanOrEqual(2);
});

test('many are gathered, for no longer than is stated, and the last are written too', async () => {
  const { commit_interval_ms_max: longest } = limits.rooms;
  const commits = await commitsAt(8_000, 2);
  const gaps = commits.slice(1).map(({ at }, n) => at - commits[n]!.at);
  expect(Math.max(...gaps)).toBeLessThanOrEqual(longest + 1);
  expect(commits.length).toBeLessThan((2_000 / longest) * 1.5);
});

test('a burst over the most that one commit takes is written without a pause in between', async () => {
  vi.useFakeTimers();
  const at: number[] = [];
  const log = createLog(async () => void at.push(performance.now()), {
    committed: () => {},
    failed: () => {}
  });
  for (let seq = 1; seq <= 2_500; seq++) log.append(row(seq));
  await vi.advanceTimersByTimeAsync(limits.rooms.commit_interval_ms_max);
  expect(at).toEqual([at[0], at[0], at[0]! + limits.rooms.commit_interval_ms_max]);
});

/** A log that forty rooms keep busy for a second: which rooms each commit had. */
async function busyRooms() {
  vi.useFakeTimers();
  const rooms = Array.from({ length: 40 }, (_, n) => `table/${n}`);
  const commits: Set<string>[] = [];
  const seen = new Map<string, number[]>();
  const log = createLog(async (rows) => void commits.push(new Set(rows.map(({ room }) => room))), {
    committed(rows) {
      for (const { room, seq } of rows) seen.set(room, [...(seen.get(room) ?? []), seq]);
    },
    failed: () => {}
  });
  let seq = 0;
  const edit = () => rooms.forEach((room) => log.append(row(++seq, room)));
  for (let ms = 0; ms < 1_000; ms += 4) {
    edit();
    await vi.advanceTimersByTimeAsync(4);
  }
  return { log, rooms, commits, seen, edit };
}

test('where many write, each room is in every other commit, with all that it has, in order', async () => {
  const { rooms, commits, seen } = await busyRooms();
  for (const [n, commit] of commits.slice(4, -1).entries()) {
    expect(commit.size).toBe(rooms.length / 2);
    expect(commit.intersection(commits[n + 5]!).size).toBe(0);
  }
  for (const seqs of seen.values()) expect(seqs).toEqual(seqs.toSorted((a, b) => a - b));
});

test('who waits for what they wrote waits for one commit, with all that was there before', async () => {
  const { log, rooms, seen, edit } = await busyRooms();
  edit();
  const last = rooms.map((room) => seen.get(room)!.at(-1)!);
  const settled = log.settled();
  await vi.advanceTimersByTimeAsync(limits.rooms.commit_interval_ms_max + 1);
  await settled;
  for (const [n, room] of rooms.entries()) expect(seen.get(room)!.at(-1)).toBeGreaterThan(last[n]!);
  await log.settled();
});
