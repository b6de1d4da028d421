import * as decoding from 'lib0/decoding';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { News } from '#wire/news.ts';
import type { Remark } from '#wire/remark.ts';
import { NEWS } from '#wire/room.ts';
import { limits } from '../limits.ts';
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

async function setUp(mode: 'open' | 'blind' = 'blind', overlap = 2) {
  const project = await t.project({ mode, overlap });
  const task = await t.task(project);
  const [a, b] = task.outputs as [string, string];
  const join = (name: string, role = 'reviewer'): Promise<Someone> => t.member(project, role, name);
  const [ada, bo, cy] = [await join('Ada'), await join('Bo'), await join('Cy')];
  const at = `/api/v1/tasks/${task.id}`;
  const rank = (who: Someone, tiers = [[a], [b]]) =>
    t.call('PUT', `${at}/ranking`, { token: who.token, body: { tiers } });
  const say = (who: Someone, text: string, mentions: string[] = []) =>
    t.call('POST', `${at}/remarks`, { token: who.token, body: { text, mentions } });
  const hear = (who: Someone, query = '') => t.call('GET', `${at}/remarks${query}`, { token: who.token });
  const readUpTo = (who: Someone, number: number) =>
    t.call('PUT', `${at}/remarks/read`, { token: who.token, body: { number } });
  const ofProject = async (who: Someone, what: string) =>
    (await t.call('GET', `/api/v1/projects/${project}/${what}`, { token: who.token })).body;
  const reveal = async () => {
    await rank(ada);
    await rank(bo, [[b], [a]]);
  };
  return { project, task, a, b, ada, bo, cy, join, rank, say, hear, readUpTo, ofProject, reveal };
}

/** News that a page in this room receives, as they come; how far all tasks are is everybody's, and not of a table. */
async function listen(room: string, who: Someone) {
  const page = await rawSocket(t.url, room, { authorization: `Bearer ${who.token}` });
  const news = () =>
    page.received.flatMap((frame): News[] => {
      const decoder = decoding.createDecoder(frame);
      if (decoding.readVarUint(decoder) !== NEWS) return [];
      const told = JSON.parse(decoding.readVarString(decoder)) as News;
      return told.kind === 'progress' ? [] : [told];
    });
  return { ...page, news };
}

test('what is said at a table stands under the name of who said it, in order, and reaches the others at once', async () => {
  const { task, ada, bo, say, hear, reveal } = await setUp();
  await reveal();
  const page = await listen(`table/${task.id}`, bo);
  const sent = await say(ada, '  Side is wrong in B. ', [bo.id, bo.id]);
  expect(sent.status).toBe(201);
  expect(sent.body).toMatchObject({ number: 1, author: { id: ada.id, name: 'Ada' }, mentions: [bo.id] });
  expect(sent.body.text).toBe('Side is wrong in B.');
  await say(bo, 'Agreed.');
  await expect
    .poll(() => page.news().filter(({ kind }) => kind === 'remark'))
    .toMatchObject([{ remark: sent.body }, { remark: { number: 2, author: { id: bo.id } } }]);
  const { items } = (await hear(bo)).body;
  expect(items.map(({ author, text }: Remark) => [author.name, text])).toEqual([
    ['Ada', 'Side is wrong in B.'],
    ['Bo', 'Agreed.']
  ]);
  page.socket.close();
});

test('nobody speaks in another name, and nothing that was said is changed', async () => {
  const { task, ada, bo, say, reveal } = await setUp();
  await reveal();
  const forged = { text: 'I was wrong.', author: bo.id, user_id: bo.id };
  const answer = await t.call('POST', `/api/v1/tasks/${task.id}/remarks`, { token: ada.token, body: forged });
  expect(answer.status).toBe(422);
  await say(ada, 'As I said.');
  await expect(t.sql("update remark set text = 'x' where task_id = $1", [task.id])).rejects.toThrow(
    'append-only'
  );
  const [row] = await t.sql(
    "select user_id, facts from audit_row where action = 'remark.send' and object = $1",
    [task.id]
  );
  expect(row).toMatchObject({ user_id: ada.id, facts: { number: 1 } });
  expect(JSON.stringify(row.facts)).not.toContain('As I said');
});

test('before the reveal of a blind task its table is shut: to read, to write, to mark, to open and on the wire', async () => {
  const { project, task, ada, bo, cy, join, rank, say, hear, readUpTo, ofProject } = await setUp();
  const owner = { id: '', token: t.owner };
  const [judge, viewer] = [await join('Di', 'adjudicator'), await join('Vi', 'viewer')];
  const pages = await Promise.all([ada, bo, cy, judge, viewer].map((who) => listen(`lobby/${project}`, who)));
  await rank(ada);
  for (const who of [ada, bo, cy, owner, judge, viewer]) {
    const codes = [await hear(who), await readUpTo(who, 1)].map(({ body }) => body.code);
    expect(codes).toEqual(['not_revealed', 'not_revealed']);
    if (who !== viewer) expect((await say(who, 'Hello?')).body.code).toBe('not_revealed');
    expect((await ofProject(who, 'tables')).items).toEqual([]);
    const door = await listen(`table/${task.id}`, who);
    expect(await door.closed).toBe(4403);
    expect(door.received).toEqual([]);
  }
  expect(pages.flatMap((page) => page.news())).toEqual([]);

  await rank(bo);
  await expect.poll(() => pages[0]!.news()).toEqual([{ kind: 'revealed', task: task.id, number: 1 }]);
  await say(ada, 'planted-remark');
  await expect.poll(() => pages[1]!.news().length).toBe(2);
  // Cy did not judge the task: its table stays shut, and nobody tells of it.
  expect((await hear(cy)).body.code).toBe('not_revealed');
  expect((await ofProject(cy, 'tables')).items).toEqual([]);
  expect(pages[2]!.news()).toEqual([]);
  for (const { socket } of pages) socket.close();
});

test('in an open project the table is open from the start', async () => {
  const { task, cy, say, hear } = await setUp('open');
  expect((await say(cy, 'First!')).status).toBe(201);
  expect((await hear(cy)).body.items).toMatchObject([{ task: task.id, text: 'First!' }]);
});

test('only those at the table can be mentioned, and viewers listen', async () => {
  const { ada, bo, cy, join, say, hear, reveal } = await setUp();
  const viewer = await join('Vi', 'viewer');
  await reveal();
  const { people } = (await hear(ada)).body;
  const names = people.map(({ name }: { name: string }) => name);
  expect(names).toEqual(expect.arrayContaining(['Ada', 'Bo', 'Vi']));
  expect(names).not.toContain('Cy');
  expect((await say(ada, '@Cy look', [cy.id])).body.code).toBe('not_at_table');
  expect((await say(viewer, 'May I?')).status).toBe(403);
  expect((await say(bo, '@Vi look', [viewer.id])).status).toBe(201);
  expect((await hear(viewer)).body.items).toHaveLength(1);
});

test('unread counts what others said since one last read, names mentions, and never goes back', async () => {
  const { project, task, ada, bo, say, hear, readUpTo, ofProject, reveal } = await setUp();
  await reveal();
  const lobby = await listen(`lobby/${project}`, bo);
  await say(ada, 'One.');
  await say(ada, '@Bo, two.', [bo.id]);
  await say(bo, 'My own.');
  await expect.poll(() => lobby.news()).toMatchObject([{ mentioned: [] }, { mentioned: [bo.id] }, {}]);
  expect(await ofProject(bo, 'unread')).toEqual({ tables: 1, mentions: 1 });
  expect((await ofProject(bo, 'tables?unread=true')).items).toMatchObject([
    { task: { id: task.id, number: 1, begin: 'Describe the film.' }, remarks: 3, unread: 2, mentioned: true }
  ]);
  await readUpTo(bo, 2);
  expect(await ofProject(bo, 'unread')).toEqual({ tables: 0, mentions: 0 });
  await readUpTo(bo, 1);
  expect((await hear(bo)).body.read).toBe(2);
  await readUpTo(bo, 99);
  expect((await hear(bo)).body.read).toBe(3);
  await say(ada, 'Four.');
  expect(await ofProject(bo, 'unread')).toEqual({ tables: 1, mentions: 0 });
  expect(await ofProject(ada, 'unread')).toEqual({ tables: 1, mentions: 0 });
  lobby.socket.close();
});

test('a discussion comes in pages, and ends where its limit is', async () => {
  const { task, ada, say, hear, reveal } = await setUp();
  await reveal();
  for (const text of ['1', '2', '3']) await say(ada, text);
  const first = (await hear(ada, '?limit=2')).body;
  expect(first.items).toHaveLength(2);
  expect((await hear(ada, `?limit=2&cursor=${first.next_cursor}`)).body).toMatchObject({
    items: [{ text: '3' }],
    next_cursor: null
  });
  await t.sql(
    "insert into remark (task_id, number, user_id, text) select $1, n, $2, 'x' from generate_series(4, $3::int) n",
    [task.id, ada.id, limits.panels.remarks_per_task_max]
  );
  expect((await say(ada, 'One more.')).body.code).toBe('discussion_full');
  expect((await say(ada, ' ')).status).toBe(422);
  expect((await say(ada, 'x'.repeat(4_001))).status).toBe(422);
  expect((await say(ada, 'a\0b')).status).toBe(422);
});

test('two who speak at once are both heard, one after the other', async () => {
  const { ada, bo, say, hear, reveal } = await setUp();
  await reveal();
  await Promise.all([ada, bo, ada, bo, ada, bo].map((who, i) => say(who, `remark ${i}`)));
  const { items } = (await hear(ada)).body;
  expect(items.map(({ number }: Remark) => number)).toEqual([1, 2, 3, 4, 5, 6]);
});
