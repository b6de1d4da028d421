import { afterAll, beforeAll, expect, test } from 'vitest';
import { openPage, roomApp, type RoomApp } from '../rooms/testing-room.ts';

let t: RoomApp;
beforeAll(async () => {
  t = await roomApp();
});
afterAll(() => t.close());

const criteria = [
  { id: 'correct', label: 'Correct', scale: 'yes_no' },
  { id: 'clear', label: 'Clear', scale: 'likert5' }
];

async function setUp(mode: 'open' | 'blind', overlap = 2) {
  const { body } = await t.call('POST', '/api/v1/projects', {
    body: { name: 'Films', review: { mode, overlap }, criteria }
  });
  const project: string = body.id;
  const [ada, bo, cy] = [
    await t.member(project, 'reviewer', 'Ada'),
    await t.member(project, 'reviewer', 'Bo'),
    await t.member(project, 'reviewer', 'Cy')
  ];
  const task = await t.task(project, 4);
  const [a, b, c, d] = task.outputs as [string, string, string, string];
  const put = (token: string, body: object) =>
    t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, { token, body });
  const seen = async (token: string) =>
    (await t.call('GET', `/api/v1/tasks/${task.id}/rankings`, { token })).body;
  const status = async (token: string) =>
    (await t.call('GET', `/api/v1/tasks/${task.id}`, { token })).body.status;
  return { project, ada, bo, cy, task, a, b, c, d, put, seen, status };
}

test('a ranking keeps ties, leaves out what is unranked, and again is a new version', async () => {
  const { ada, a, b, c, put, seen } = await setUp('open');
  const first = await put(ada.token, { tiers: [[b], [c, a]] });
  expect(first.status).toBe(200);
  expect(first.body).toMatchObject({ version: 1, verdict: 'ranked', after_reveal: false, kind: 'review' });
  expect(first.body.tiers).toEqual([[b], [a, c].sort()]);
  expect((await put(ada.token, { tiers: [[a]] })).body).toMatchObject({ version: 2, tiers: [[a]] });
  const { items } = await seen(ada.token);
  expect(items.map(({ version }: { version: number }) => version)).toEqual([1, 2]);
});

test('all bad and cannot judge need no tiers, and count as judged', async () => {
  const { ada, bo, put, status } = await setUp('open');
  expect((await put(ada.token, { tiers: [] })).body.code).toBe('nothing_ranked');
  expect((await put(ada.token, { tiers: [], verdict: 'all_bad' })).body.verdict).toBe('all_bad');
  const unable = await put(bo.token, { tiers: [], verdict: 'cannot_judge', reason: 'Not my field.' });
  expect(unable.body).toMatchObject({ verdict: 'cannot_judge', reason: 'Not my field.' });
  expect(await status(ada.token)).toBe('revealed');
});

test('a remark on a stretch of an output goes along with the words it is about, counted in UTF-16 code units', async () => {
  const { project, ada, put } = await setUp('open');
  const sent = await t.call('POST', `/api/v1/projects/${project}/imports`, {
    body: JSON.stringify({ prompt: 'p', outputs: ['Kein 🫁-Befund, e\u0301tude.', 'b'] }),
    headers: { 'content-type': 'application/jsonl' }
  });
  await expect
    .poll(async () => (await t.call('GET', `/api/v1/imports/${sent.body.id}`)).body.status)
    .toBe('done');
  const task = (await t.call('GET', `/api/v1/projects/${project}/tasks?cursor=1`)).body.items[0];
  const output = task.outputs[0].id;
  const judge = (spans: object[]) =>
    t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, {
      token: ada.token,
      body: { tiers: [], verdict: 'all_bad', spans }
    });
  const span = { output, start: 5, end: 7, category: 'Hallucination', text: 'No such organ.' };
  expect((await judge([span])).body.spans).toEqual([{ ...span, quote: '🫁' }]);
  expect((await judge([{ ...span, start: 16, end: 18 }])).body.spans[0].quote).toBe('e\u0301');
  for (const [wrong, says] of [
    [{ start: 6, end: 9 }, 'within a character'],
    [{ start: 9, end: 9 }, 'start before end'],
    [{ end: 900 }, 'UTF-16 code units'],
    [{ category: 'Ugly' }, 'category must be one of: Wrong finding, Omission'],
    [{ output: 'output_of_another' }, 'not an output']
  ] as const) {
    const refused = await judge([span, { ...span, ...wrong }]);
    expect(refused.status).toBe(422);
    expect(refused.body.detail).toContain('spans[1]: ');
    expect(refused.body.detail).toContain(says);
  }
  expect((await put(ada.token, { tiers: [], verdict: 'all_bad' })).body.spans).toEqual([]);
});

test('how much better the best is goes along, into pairs of just those two, and is refused where nothing stands alone', async () => {
  const { project, ada, bo, a, b, c, put } = await setUp('open');
  expect((await put(ada.token, { tiers: [[a], [b], [c]], strength: 3 })).body.strength).toBe(3);
  await put(bo.token, { tiers: [[a], [b], [c]], strength: 2 });
  const { response } = await t.call('GET', `/api/v1/projects/${project}/pairs?format=trl`);
  const lines = (await response.text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const strengthOf = (chosen: string, rejected: string) =>
    lines.find((one) => one.chosen_output === chosen && one.rejected_output === rejected).strength;
  expect([strengthOf(a, b), strengthOf(a, c), strengthOf(b, c)]).toEqual([2.5, null, null]);
  for (const body of [{ tiers: [[a, b]] }, { tiers: [[a]] }, { tiers: [], verdict: 'all_bad' }])
    expect((await put(ada.token, { ...body, strength: 1 })).body.detail).toContain('stands alone');
});

test('ratings, an edited output and a comment go along; what does not fit is refused by name', async () => {
  const { ada, a, b, put } = await setUp('open');
  const body = {
    tiers: [[a], [b]],
    ratings: { [`correct/${a}`]: true, [`clear/${b}`]: 4 },
    edited: { output: a, text: 'Better so.' },
    comment: 'B misses the nodule.'
  };
  expect((await put(ada.token, body)).body).toMatchObject({
    ratings: body.ratings,
    edited: body.edited,
    comment: body.comment
  });
  const refused = async (change: object) => {
    const { status, body: answer } = await put(ada.token, { ...body, ...change });
    return `${status} ${answer.detail}`;
  };
  expect(await refused({ ratings: { [`clear/${b}`]: 6 } })).toBe(
    '422 ratings: clear takes a whole number from 1 to 5.'
  );
  expect(await refused({ ratings: { [`kind/${b}`]: 1 } })).toContain('no criterion "kind"');
  expect(await refused({ ratings: { 'clear/x': 1 } })).toContain('must be criterion/output');
  expect(await refused({ tiers: [['x']] })).toContain('not an output of this task');
  expect(await refused({ tiers: [[a], [a]] })).toContain('twice');
  expect(await refused({ edited: { output: 'x', text: 'y' } })).toContain('edited.output');
});

test('the overlap reveals a task; later versions say so, and latecomers are sent on', async () => {
  const { ada, bo, cy, a, b, put, status } = await setUp('blind');
  await put(ada.token, { tiers: [[a], [b]] });
  expect(await status(ada.token)).toBe('open');
  await put(ada.token, { tiers: [[b], [a]] });
  expect(await status(ada.token)).toBe('open');
  await put(bo.token, { tiers: [[a], [b]] });
  expect(await status(ada.token)).toBe('revealed');
  expect((await put(cy.token, { tiers: [[a]] })).body.code).toBe('overlap_reached');
  expect((await put(ada.token, { tiers: [[a], [b]] })).body).toMatchObject({
    version: 3,
    after_reveal: true
  });
});

test('two last raters at once: the overlap holds and the task is revealed once', async () => {
  const { ada, bo, cy, a, put, status } = await setUp('open', 1);
  const answers = await Promise.all([ada, bo, cy].map(({ token }) => put(token, { tiers: [[a]] })));
  expect(answers.map((answer) => answer.status).sort()).toEqual([200, 409, 409]);
  expect(await status(ada.token)).toBe('revealed');
});

test('blind: nobody who judges sees others before the reveal; who did not judge a task never does', async () => {
  const { project, ada, bo, cy, a, b, put, seen, task } = await setUp('blind');
  const judge = await t.member(project, 'adjudicator', 'Di');
  const viewer = await t.member(project, 'viewer', 'Vi');
  await put(ada.token, { tiers: [[a], [b]] });
  const raters = async (token: string) =>
    (await seen(token)).items.map(({ rater }: { rater: { name: string } }) => rater.name);
  expect(await raters(ada.token)).toEqual(['Ada']);
  expect(await raters(bo.token)).toEqual([]);
  expect(await raters(judge.token)).toEqual(['Ada']);
  expect(await raters(viewer.token)).toEqual(['Ada']);
  await put(bo.token, { tiers: [[b], [a]] });
  expect(await raters(ada.token)).toEqual(['Ada', 'Bo']);
  expect(await raters(cy.token)).toEqual([]);

  const other = await t.task(project);
  await t.call('PUT', `/api/v1/tasks/${other.id}/ranking`, {
    token: ada.token,
    body: { tiers: [[other.outputs[0]]] }
  });
  const owned = { token: t.owner, body: { tiers: [[other.outputs[1]]] } };
  const theirs = async () =>
    (await t.call('GET', `/api/v1/tasks/${other.id}/rankings`, { token: t.owner })).body.items;
  expect(await theirs()).toHaveLength(1);
  await t.call('PUT', `/api/v1/tasks/${task.id}/ranking`, owned);
  const third = await t.task(project);
  await t.call('PUT', `/api/v1/tasks/${third.id}/ranking`, { body: { tiers: [[third.outputs[1]]] } });
  expect(await theirs()).toHaveLength(0);
});

test('an adjudicator reveals and decides with a reason, and erases nothing', async () => {
  const { project, ada, a, b, put, seen, status, task } = await setUp('blind');
  const judge = await t.member(project, 'adjudicator', 'Di');
  await put(ada.token, { tiers: [[a], [b]] });
  const post = (what: string, token: string, body: object = {}) =>
    t.call('POST', `/api/v1/tasks/${task.id}/${what}`, { token, body });
  expect((await post('reveal', ada.token)).status).toBe(403);
  expect((await post('adjudication', ada.token, { tiers: [[b]], reason: 'x' })).status).toBe(403);
  expect((await post('reveal', judge.token)).status).toBe(204);
  expect(await status(ada.token)).toBe('revealed');
  expect((await post('adjudication', judge.token, { tiers: [[b]] })).status).toBe(422);
  const decided = await post('adjudication', judge.token, { tiers: [[b], [a]], reason: 'Guideline 3.' });
  expect(decided.body).toMatchObject({ kind: 'adjudication', reason: 'Guideline 3.', tiers: [[b], [a]] });
  const kinds = (await seen(judge.token)).items.map(({ kind }: { kind: string }) => kind);
  expect(kinds).toEqual(['review', 'adjudication']);
});

test('the consensus is what stands on the table', async () => {
  const { ada, bo, a, b, c, put, task } = await setUp('blind');
  const consensus = (token: string) =>
    t.call('POST', `/api/v1/tasks/${task.id}/consensus`, { token, body: {} });
  expect((await consensus(ada.token)).body.code).toBe('not_revealed');
  await put(ada.token, { tiers: [[a], [b]] });
  await put(bo.token, { tiers: [[b], [a]] });
  expect((await consensus(ada.token)).body.code).toBe('nothing_ranked');
  const table = `table/${task.id}`;
  const [at, bt] = [await openPage(t.url, table, ada.token), await openPage(t.url, table, bo.token)];
  at.ranks.set(a, 1.25);
  bt.ranks.set(b, 1.25);
  at.ranks.set(c, 0.5);
  await Promise.all([at.saved(), bt.saved()]);
  expect((await consensus(bo.token)).body).toMatchObject({
    kind: 'consensus',
    tiers: [[c], [a, b].sort()]
  });
  at.destroy();
  bt.destroy();
});

test('every version leaves an audit row with its hash and the log row it was folded from', async () => {
  const { ada, a, put } = await setUp('open');
  const { body } = await put(ada.token, { tiers: [[a]] });
  const [row] = await t.sql("select facts from audit_row where action = 'ranking.submit' and object = $1", [
    body.id
  ]);
  expect(row.facts).toMatchObject({ version: 1, room_seq: 1, revealed: false });
  expect(row.facts.sha256).toMatch(/^[0-9a-f]{64}$/);
});
