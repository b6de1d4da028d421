import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as Y from 'yjs';
import { verifyAudit } from '../audit/index.ts';
import { openPage, roomApp, type RoomApp } from './testing-room.ts';

let t: RoomApp;
beforeAll(async () => {
  t = await roomApp();
});
afterAll(() => t.close());

async function openTask(mode: 'open' | 'blind' = 'open', overlap = 2) {
  const project = await t.project({ mode, overlap });
  const ada = await t.member(project, 'reviewer', 'Ada');
  const bo = await t.member(project, 'reviewer', 'Bo');
  const task = await t.task(project);
  return { project, ada, bo, task, table: `table/${task.id}` };
}

test('what one ranks on the table appears at the other, under ids that were issued, and is in the log', async () => {
  const { ada, bo, task, table } = await openTask();
  const [a, b] = [await openPage(t.url, table, ada.token), await openPage(t.url, table, bo.token)];
  expect(a.clientId).not.toBe(b.clientId);
  a.ranks.set(task.outputs[0]!, 1.5);
  b.ranks.set(task.outputs[1]!, 2.5);
  await Promise.all([a.saved(), b.saved()]);
  const both = { [task.outputs[0]!]: 1.5, [task.outputs[1]!]: 2.5 };
  await expect.poll(() => [a.ranks.toJSON(), b.ranks.toJSON()]).toEqual([both, both]);
  const rows = await t.sql('select seq, user_id, bytes from room_log where room = $1 order by seq', [table]);
  expect(rows.map(({ seq }) => seq)).toEqual([1, 2]);
  expect(rows.map((row) => row.user_id).sort()).toEqual([ada.id, bo.id].sort());
  const folded = new Y.Doc();
  for (const { bytes } of rows) Y.applyUpdate(folded, new Uint8Array(bytes));
  expect(folded.getMap('ranks').toJSON()).toEqual(both);
  a.destroy();
  b.destroy();
});

test('a deletion is told as saved, which no state vector shows', async () => {
  const { ada, task, table } = await openTask();
  const a = await openPage(t.url, table, ada.token);
  a.ranks.set(task.outputs[0]!, 1);
  await a.saved();
  const before = a.savedFrames;
  a.ranks.delete(task.outputs[0]!);
  await a.saved();
  expect(a.savedFrames).toBe(before + 1);
  const [row] = await t.sql('select count(*) as n from room_log where room = $1', [table]);
  expect(row.n).toBe(2);
  a.destroy();
});

test('edits made between connecting and having synced wait for the ones they build on', async () => {
  const { ada, task, table } = await openTask();
  const a = await openPage(t.url, table, ada.token);
  await a.saved();
  a.provider.disconnect();
  a.ranks.set(task.outputs[0]!, 1);
  a.provider.on('status', ({ status }) => status === 'connected' && a.ranks.set(task.outputs[1]!, 2));
  a.provider.connect();
  await a.saved();
  expect(await fold(table)).toEqual({ [task.outputs[0]!]: 1, [task.outputs[1]!]: 2 });
  a.destroy();
});

test('edits made offline under a leased id are delivered later, by another page of the same person', async () => {
  const { ada, bo, task, table } = await openTask();
  const lease = (token: string) =>
    t.call('POST', '/api/v1/rooms/clients', { token, body: { room: table, count: 3 } });
  const { status, body } = await lease(ada.token);
  expect([status, new Set(body.ids).size]).toEqual([200, 3]);
  const offline = new Y.Doc();
  offline.clientID = body.ids[0];
  offline.getMap('ranks').set(task.outputs[2]!, 7);
  const a = await openPage(t.url, table, ada.token, offline);
  await a.saved();
  expect(await fold(table)).toEqual({ [task.outputs[2]!]: 7 });
  a.destroy();

  const stolen = new Y.Doc();
  stolen.clientID = body.ids[1];
  stolen.getMap('ranks').set(task.outputs[2]!, 8);
  const b = await openPage(t.url, table, bo.token, stolen);
  expect(await b.closed).toBe(4403);
  expect(await fold(table)).toEqual({ [task.outputs[2]!]: 7 });
  b.destroy();
  const stranger = await openTask();
  expect((await lease(stranger.ada.token)).body.code).toBe('not_allowed');
});

test('who may open which room', async () => {
  const { project, ada, bo, task, table } = await openTask('blind');
  const viewer = await t.member(project, 'viewer');
  const judge = await t.member(project, 'adjudicator');
  const stranger = await t.member(await t.project(), 'owner');
  const ballot = `ballot/${task.id}/${ada.id}`;
  const code = async (room: string, token: string) => {
    const page = await openPage(t.url, room, token);
    const answer = page.clientId === null ? await page.closed : 'open';
    page.destroy();
    return answer;
  };
  const codes = async (room: string, ...tokens: string[]) =>
    Promise.all(tokens.map((token) => code(room, token)));
  const everyone = [ada.token, bo.token, viewer.token, judge.token, t.owner, stranger.token, 'nobody'];
  expect(await codes(ballot, ...everyone)).toEqual(['open', 4403, 4403, 4403, 4403, 4403, 4401]);
  expect(await codes(table, ...everyone)).toEqual([4403, 4403, 4403, 4403, 4403, 4403, 4401]);
  expect(await codes(`lobby/${project}`, ...everyone)).toEqual([
    ...['open', 'open', 'open', 'open', 'open'],
    ...[4403, 4401]
  ]);
  for (const { token } of [ada, bo]) {
    const body = { tiers: [[task.outputs[0]], [task.outputs[1]]] };
    await t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token, body });
  }
  expect(await codes(ballot, ...everyone)).toEqual(['open', 4403, 4403, 'open', 'open', 4403, 4401]);
  expect(await codes(table, ...everyone)).toEqual(['open', 'open', 'open', 'open', 'open', 4403, 4401]);
  expect(await codes('table/none', t.owner)).toEqual([4403]);
  expect(await codes('kitchen/sink', t.owner)).toEqual([4403]);
});

test('who may only look is closed out when changing something, and not for having nothing new', async () => {
  const { project, ada, task, table } = await openTask();
  const viewer = await t.member(project, 'viewer');
  const a = await openPage(t.url, table, ada.token);
  a.ranks.set(task.outputs[0]!, 1);
  await a.saved();
  const v = await openPage(t.url, table, viewer.token);
  await expect.poll(() => v.ranks.toJSON()).toEqual({ [task.outputs[0]!]: 1 });
  await v.saved();
  v.ranks.set(task.outputs[0]!, 2);
  expect(await v.closed).toBe(4403);
  const l = await openPage(t.url, `lobby/${project}`, ada.token);
  l.ranks.set(task.outputs[0]!, 2);
  expect(await l.closed).toBe(4403);
  expect(await fold(table)).toEqual({ [task.outputs[0]!]: 1 });
  for (const page of [a, v, l]) page.destroy();
});

test('presence carries the name the server knows, and nothing that tells how somebody ranks', async () => {
  const { project, ada, bo, task } = await openTask('blind');
  const [a, b] = [
    await openPage(t.url, `lobby/${project}`, ada.token),
    await openPage(t.url, `lobby/${project}`, bo.token)
  ];
  a.provider.awareness.setLocalState({
    user: { id: bo.id, name: 'Bo' },
    task: task.id,
    ranks: { [task.outputs[0]!]: 1 },
    best: 'A'.repeat(65)
  });
  const seen = () => [...b.provider.awareness.getStates().values()];
  await expect.poll(seen).toContainEqual({ user: { id: ada.id, name: 'Ada' }, task: task.id });
  expect(JSON.stringify(seen())).not.toContain('ranks');
  a.destroy();
  await expect.poll(() => seen().filter((state) => state.user?.id === ada.id)).toEqual([]);
  b.destroy();
});

test('a submission by API shows in the open ballot and keeps places that say the same', async () => {
  const { ada, task } = await openTask();
  const room = `ballot/${task.id}/${ada.id}`;
  const [first, second, third] = task.outputs as [string, string, string];
  const page = await openPage(t.url, room, ada.token);
  page.ranks.set(first, 0.25);
  page.ranks.set(second, 0.75);
  await page.saved();
  const submit = (body: object) =>
    t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token: ada.token, body });
  await submit({ tiers: [[first], [second]], comment: 'Clear.' });
  await expect.poll(() => page.doc.getText('note').toString()).toBe('Clear.');
  expect(page.ranks.toJSON()).toEqual({ [first]: 0.25, [second]: 0.75 });
  await submit({ tiers: [[third], [first, second]] });
  await expect.poll(() => page.ranks.toJSON()).toEqual({ [third]: 1, [first]: 2, [second]: 2 });
  expect(page.doc.getText('note').toString()).toBe('');
  page.ranks.set(third, 9);
  await page.saved();
  const versions = await t.sql('select room_seq from ranking where task_id = $1 order by version', [task.id]);
  const log = await t.sql('select max(seq) as last from room_log where room = $1', [room]);
  expect([versions.map((row) => row.room_seq), log[0].last]).toEqual([[3, 4], 5]);
  page.destroy();
});

test('edits and submissions at once leave no gap and nothing behind', async () => {
  const { ada, task } = await openTask();
  const room = `ballot/${task.id}/${ada.id}`;
  const page = await openPage(t.url, room, ada.token);
  const [first, second] = task.outputs as [string, string];
  const submissions = Array.from({ length: 6 }, (_, i) =>
    t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, {
      token: ada.token,
      body: { tiers: i % 2 ? [[first], [second]] : [[second], [first]] }
    })
  );
  for (let i = 0; i < 40; i++) {
    page.ranks.set(task.outputs[2]!, i);
    await new Promise((resolve) => setTimeout(resolve, 3));
  }
  expect((await Promise.all(submissions)).map(({ status }) => status)).toEqual(Array(6).fill(200));
  await page.saved();
  // The last submission is on disk before the page hears of it.
  await expect.poll(async () => isDeepStrictEqual(page.ranks.toJSON(), await fold(room))).toBe(true);
  const rows = await t.sql('select seq from room_log where room = $1 order by seq', [room]);
  expect(rows.map(({ seq }) => seq)).toEqual(rows.map((_, i) => i + 1));
  page.destroy();
});

test('the audit chain covers every log row by range and hash', async () => {
  expect(await verifyAudit(t.db)).toBeNull();
  const commits = await t.sql("select facts from audit_row where action = 'room.commit'");
  const covered = commits.reduce((sum, { facts }) => sum + facts.rows, 0);
  const [log] = await t.sql('select count(*) as n from room_log');
  expect(covered).toBe(log.n);
});

async function fold(room: string) {
  const doc = new Y.Doc();
  for (const { bytes } of await t.sql('select bytes from room_log where room = $1 order by seq', [room]))
    Y.applyUpdate(doc, new Uint8Array(bytes));
  return doc.getMap('ranks').toJSON();
}
