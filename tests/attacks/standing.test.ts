import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { limits } from '../../server/limits.ts';
import {
  attackerOf,
  isOpen,
  knock,
  pageOf,
  rawSocket,
  roomApp,
  sceneOn,
  type Attacker,
  type Scene
} from './scene.ts';

// Step 9 of the door: a right that is gone is gone within a second, on sockets that are open too (ASVS 8.3.2).

let t: Scene['t'];
let scene: Scene;
let cookie: string;
const site = { email: 'site@example.org', password: 'correct horse battery', name: 'Site' };
beforeAll(async () => {
  t = await roomApp();
  cookie = await signIn('sign-up');
});
beforeEach(async () => {
  scene = await sceneOn(t);
});
afterAll(() => t.close());

async function signIn(how: 'sign-up' | 'sign-in'): Promise<string> {
  const answer = await auth(`${how}/email`, site);
  return answer.headers.getSetCookie()[0]!.split(';')[0]!;
}

function auth(path: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  const { origin } = t.app.config;
  const request = { method: 'POST', body: JSON.stringify(body) };
  const all = { 'content-type': 'application/json', origin, ...headers };
  return t.app.authentication(new Request(`${origin}/api/auth/${path}`, { ...request, headers: all }));
}

const PROMISED_MS = 1_000;

/** The code with which a socket is closed after something has changed, if that is within the second. */
async function closedBy(
  { closed }: Attacker,
  change: () => Promise<unknown>
): Promise<number | 'still open'> {
  await change();
  const late = new Promise<'still open'>((resolve) => setTimeout(() => resolve('still open'), PROMISED_MS));
  return Promise.race([closed, late]);
}

const setRole = (user: string, role: string) =>
  t.sql('update member set role = $3 where project_id = $1 and user_id = $2', [scene.project, user, role]);

test('the limit keeps the promise with time to spare', () => {
  expect(limits.rooms.recheck_ms).toBeLessThanOrEqual(PROMISED_MS / 2);
});

test('a member who was removed is out, from the table as from the lobby, and others stay', async () => {
  const [eve, inLobby, ada] = [
    await attackerOf(scene),
    await attackerOf(scene, scene.eve, `lobby/${scene.project}`),
    await attackerOf(scene, scene.ada)
  ];
  const remove = () =>
    t.sql('delete from member where project_id = $1 and user_id = $2', [scene.project, scene.eve.id]);
  expect(await closedBy(eve, remove)).toBe(4403);
  expect(await closedBy(inLobby, async () => {})).toBe(4403);
  expect(isOpen(ada.socket)).toBe(true);
  ada.socket.terminate();
});

test('a token that was revoked is out', async () => {
  const eve = await attackerOf(scene);
  const revoke = () => t.sql('update api_token set revoked_at = now() where user_id = $1', [scene.eve.id]);
  expect(await closedBy(eve, revoke)).toBe(4401);
});

test('whoever signs out, or whose session ends, is out in every window', async () => {
  const [{ id }] = await t.sql('select id from "user" where email = $1', [site.email]);
  await t.sql("insert into member (project_id, user_id, role) values ($1, $2, 'reviewer')", [
    scene.project,
    id
  ]);
  const { origin } = t.app.config;
  const open = (session: string) => rawSocket(t.url, scene.table, { cookie: session, origin });
  const windows = [await open(cookie), await open(cookie)];
  const elsewhere = await signIn('sign-in');
  const other = await open(elsewhere);
  await Promise.all([...windows, other].map((one) => one.clientId()));
  const codes = closedBy(windows[0]!, () => auth('sign-out', {}, { cookie }));
  expect([await codes, await closedBy(windows[1]!, async () => {})]).toEqual([4401, 4401]);
  expect(isOpen(other.socket)).toBe(true);
  const expire = () => t.sql("update session set expires_at = now() - interval '1 second'");
  expect(await closedBy(other, expire)).toBe(4401);
});

test('a reviewer who becomes a viewer comes back as one who may only look', async () => {
  const eve = await attackerOf(scene);
  // Not in the 44xx: the page shall come back.
  expect(await closedBy(eve, () => setRole(scene.eve.id, 'viewer'))).toBe(1012);
  const page = await pageOf(scene, scene.eve);
  page.ranks.set(scene.task.outputs[0]!, 1);
  expect(await page.closed).toBe(4403);
  page.destroy();
});

test('a role that changes nothing in a room disturbs nobody there', async () => {
  const eve = await attackerOf(scene);
  expect(await closedBy(eve, () => setRole(scene.eve.id, 'engineer'))).toBe('still open');
  eve.socket.terminate();
});

test('an adjudicator who judges the task too is out of others’ ballots', async () => {
  scene = await sceneOn(t, 'blind');
  const judge = await t.member(scene.project, 'adjudicator');
  const { outputs, id } = scene.task;
  const rank = (token: string) =>
    t.call('PUT', `/api/v1/tasks/${id}/ranking`, { token, body: { tiers: [[outputs[0]], [outputs[1]]] } });
  await rank(scene.ada.token);
  const ballot = `ballot/${id}/${scene.ada.id}`;
  await t.sql('update project set overlap = 5 where id = $1', [scene.project]);
  const reading = await attackerOf(scene, judge, ballot);
  await reading.clientId();
  expect(await closedBy(reading, () => rank(judge.token))).toBe(4403);
  expect(await knock(t.url, ballot, { authorization: `Bearer ${judge.token}` })).toBe(4403);
});
