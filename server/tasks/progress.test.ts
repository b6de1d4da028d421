import * as decoding from 'lib0/decoding';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PROGRESS_DAYS, type Progress } from '#wire/progress.ts';
import { NEWS } from '#wire/room.ts';
import { rawSocket, roomApp, type RoomApp } from '../rooms/testing-room.ts';

let t: RoomApp;
beforeAll(async () => {
  t = await roomApp();
});
afterAll(() => t.close());

interface Someone {
  id: string;
  token: string;
}

async function setUp(tasks: number, overlap = 2) {
  const project = await t.project({ mode: 'blind', overlap });
  const made: Awaited<ReturnType<typeof t.task>>[] = [];
  for (let n = 0; n < tasks; n++) made.push(await t.task(project));
  const [ada, bo] = [await t.member(project, 'reviewer', 'Ada'), await t.member(project, 'reviewer', 'Bo')];
  const rank = (who: Someone, at: number) =>
    t.call('PUT', `/api/v1/tasks/${made[at]!.id}/ranking`, {
      token: who.token,
      body: { tiers: [[made[at]!.outputs[0]]] }
    });
  const undo = (who: Someone, at: number) =>
    t.call('POST', `/api/v1/tasks/${made[at]!.id}/ranking/undo`, { token: who.token });
  const progress = async (who: Someone, zone = 'UTC'): Promise<Progress> =>
    (await t.call('GET', `/api/v1/projects/${project}/progress?zone=${encodeURIComponent(zone)}`, who)).body;
  /** As if they had judged it then. */
  const at = (who: Someone, task: number, when: string) =>
    t.sql('update lease set ranked_at = $3 where task_id = $1 and user_id = $2', [
      made[task]!.id,
      who.id,
      when
    ]);
  return { project, ada, bo, rank, undo, progress, at };
}

const counts = ({ days }: Progress) => days.map(({ mine, all }) => [mine, all]);
const none = (days: number) => Array.from({ length: days }, () => [0, 0]);

test('first judgements are counted on their day, once, and not when they were taken back', async () => {
  const { ada, bo, rank, undo, progress } = await setUp(3, 3);
  expect(counts(await progress(ada))).toEqual(none(PROGRESS_DAYS));
  await rank(ada, 0);
  await rank(ada, 0);
  await rank(ada, 1);
  await rank(bo, 0);
  expect(counts(await progress(ada)).at(-1)).toEqual([2, 3]);
  expect(counts(await progress(bo)).at(-1)).toEqual([1, 3]);
  await undo(ada, 1);
  expect(counts(await progress(ada)).at(-1)).toEqual([1, 2]);
  // A correction taken back leaves what it corrected.
  await undo(ada, 0);
  expect(counts(await progress(ada)).at(-1)).toEqual([1, 2]);
  await rank(ada, 1);
  expect(counts(await progress(ada)).at(-1)).toEqual([2, 3]);
});

test('a day ends at the midnight of who asks, and what is older than the days told is not among them', async () => {
  const { ada, rank, progress, at } = await setUp(3);
  for (const n of [0, 1, 2]) await rank(ada, n);
  const today = new Date().toISOString().slice(0, 10);
  await at(ada, 0, `${today}T00:00:00Z`);
  await at(ada, 1, new Date(Date.parse(today) - 1000).toISOString());
  await at(ada, 2, new Date(Date.parse(today) - PROGRESS_DAYS * 86_400_000).toISOString());
  const told = await progress(ada);
  expect(told.days.at(-1)).toEqual({ day: today, mine: 1, all: 1 });
  expect(counts(told)).toEqual([...none(PROGRESS_DAYS - 2), [1, 1], [1, 1]]);
  const elsewhere = await progress(ada, 'Pacific/Kiritimati');
  const [last, before] = [elsewhere.days.at(-1)!, elsewhere.days.at(-2)!];
  // Fourteen hours ahead both fall on one day.
  expect(last.all + before.all).toBe(2);
  expect([last.all, before.all]).toContain(2);
  expect(await progress(ada, 'Ward/Seven')).toMatchObject({
    code: 'invalid',
    detail: expect.stringContaining('zone: Ward/Seven is no time zone')
  });
});

test('a goal is its own person’s, the day by which all is wanted everybody’s', async () => {
  const { project, ada, bo, progress } = await setUp(1);
  const goal = (per_day: unknown, token: string) =>
    t.call('PUT', `/api/v1/projects/${project}/goal`, { token, body: { per_day } });
  expect((await goal(40, ada.token)).status).toBe(204);
  for (const wrong of [0, 1.5, 10_001, '40']) expect((await goal(wrong, ada.token)).status).toBe(422);
  const due = (due_on: string | null) =>
    t.call('PATCH', `/api/v1/projects/${project}`, { body: { review: { due_on } } });
  expect((await due('2026-13-01')).status).toBe(422);
  expect((await due('2027-02-28')).body.review).toMatchObject({ due_on: '2027-02-28', strength: false });
  expect(await progress(ada)).toMatchObject({ goal: 40, due_on: '2027-02-28' });
  expect(await progress(bo)).toMatchObject({ goal: null });
  await due(null);
  await goal(null, ada.token);
  expect(await progress(ada)).toMatchObject({ goal: null, due_on: null });
});

test('whoever is in the project hears how far its tasks are, once for many judgements', async () => {
  const { project, ada, bo, rank } = await setUp(2, 1);
  const page = await rawSocket(t.url, `lobby/${project}`, { authorization: `Bearer ${bo.token}` });
  const news = () =>
    page.received.flatMap((frame) => {
      const decoder = decoding.createDecoder(frame);
      return decoding.readVarUint(decoder) === NEWS ? [JSON.parse(decoding.readVarString(decoder))] : [];
    });
  await rank(ada, 0);
  await rank(ada, 1);
  const tasks = { total: 2, revealed: 2, wanted: 2, ranked: 2 };
  await expect.poll(news, { timeout: 5_000 }).toContainEqual({ kind: 'progress', tasks });
  expect(news().filter(({ kind }) => kind === 'progress')).toHaveLength(1);
  page.socket.close();
});
