import { afterAll, beforeAll, expect, test } from 'vitest';
import { testApp, type TestApp } from '../testing-app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

const origin = 'http://127.0.0.1:4000';

function auth(path: string, body: unknown, headers: Record<string, string> = {}) {
  const request = new Request(`${origin}/api/auth${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', origin, ...headers },
    body: JSON.stringify(body)
  });
  return t.app.authentication(request);
}

const cookieOf = (response: Response) =>
  response.headers
    .getSetCookie()
    .map((cookie) => cookie.split(';')[0])
    .join('; ');
const person = (name: string) => ({ name, email: `${name}@example.org`, password: 'a long enough one' });

test('the first person may sign up; nobody after that without an invitation', async () => {
  expect(await t.app.hasAccounts()).toBe(false);
  const [ada, eve] = await Promise.all([
    auth('/sign-up/email', person('ada')),
    auth('/sign-up/email', person('eve'))
  ]);
  expect([ada.status, eve.status].sort()).toEqual([200, 403]);
  expect(await t.app.hasAccounts()).toBe(true);
  const cookie = cookieOf(ada.ok ? ada : eve);
  const me = await t.call('GET', '/api/v1/me', { token: null, headers: { cookie } });
  expect(me.body.instance_owner).toBe(true);
  expect(cookie).toMatch(/^concord\.session_token=/);
});

test('a cookie from another site is refused, and so is one without an origin', async () => {
  const signIn = await auth('/sign-in/email', person('ada'));
  const cookie = cookieOf(signIn);
  const body = { name: 'P', review: { mode: 'open', overlap: 1 }, criteria: [] };
  const post = (headers: Record<string, string>) =>
    t.call('POST', '/api/v1/projects', { token: null, headers: { cookie, ...headers }, body });
  expect((await post({ origin: 'https://evil.example' })).body.code).toBe('foreign_origin');
  expect((await post({})).body.code).toBe('foreign_origin');
  expect((await post({ origin: 'null' })).body.code).toBe('foreign_origin');
  expect((await post({ origin })).status).toBe(201);
});

test('nothing answers without a caller', async () => {
  for (const path of ['/me', '/projects', '/openapi.json', '/projects/x']) {
    const { status, body, response } = await t.call('GET', `/api/v1${path}`, { token: null });
    expect([path, status, body.code]).toEqual([path, 401, 'not_signed_in']);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
  }
  expect((await t.call('GET', '/api/v1/me', { token: 'concord_wrong' })).status).toBe(401);
});

test('a member added by a script has a token for that project only', async () => {
  const project = await t.project();
  const other = await t.project();
  const { token } = await t.member(project, 'engineer');
  expect((await t.call('GET', `/api/v1/projects/${project}`, { token })).body.role).toBe('engineer');
  expect((await t.call('GET', `/api/v1/projects/${other}`, { token })).status).toBe(404);
  expect(
    (
      await t.call('POST', '/api/v1/projects', {
        token,
        body: { name: 'x', review: { mode: 'open', overlap: 1 }, criteria: [] }
      })
    ).body.code
  ).toBe('not_allowed');
  expect(
    (
      await t.call('POST', `/api/v1/projects/${project}/members`, {
        token,
        body: { email: 'x@example.org', name: 'x', role: 'viewer' }
      })
    ).status
  ).toBe(403);
});

test('an existing account is invited, and only that person can accept, once', async () => {
  const project = await t.project();
  const again = await t.call('POST', `/api/v1/projects/${project}/members`, {
    body: { email: 'ada@example.org', name: 'Ada', role: 'reviewer' }
  });
  expect(again.body.token).toBeNull();
  expect(again.body.invitation).toMatch(/\/invite\/[\w-]{20,}$/);

  const made = await t.call('POST', `/api/v1/projects/${project}/invitations`, {
    body: { email: 'Bo@example.org', role: 'reviewer' }
  });
  const secret = made.body.link.split('/').at(-1);
  const open = await t.call('GET', `/api/v1/invitations/${secret}`, { token: null });
  expect(open.body).toMatchObject({ email: 'bo@example.org', role: 'reviewer', has_account: false });
  expect((await t.call('POST', `/api/v1/invitations/${secret}/accept`, { body: {} })).body.code).toBe(
    'invitation_for_another'
  );

  const headers = { origin };
  const accept = (body: unknown) =>
    t.call('POST', `/api/v1/invitations/${secret}/accept`, { token: null, headers, body });
  expect((await accept({})).body.code).toBe('name_and_password_needed');
  const joined = await accept({ name: 'Bo', password: 'a long enough one' });
  expect(joined.body).toEqual({ project });
  const cookie = cookieOf(joined.response);
  expect(
    (await t.call('GET', `/api/v1/projects/${project}`, { token: null, headers: { cookie } })).body.role
  ).toBe('reviewer');
  expect((await accept({ name: 'Bo', password: 'a long enough one' })).body.code).toBe('invitation_unknown');
});

test('a link from one project is no way into the others of who has only a token', async () => {
  const [theirs, mine] = [await t.project(), await t.project()];
  const victim = { email: 'victim@example.org', name: 'Victim', role: 'owner' };
  const { body } = await t.call('POST', `/api/v1/projects/${theirs}/members`, { body: victim });
  const thief = await t.member(mine, 'owner');
  const { body: made } = await t.call('POST', `/api/v1/projects/${mine}/invitations`, {
    token: thief.token,
    body: { email: victim.email, role: 'viewer' }
  });
  const accept = `/api/v1/invitations/${made.link.split('/').at(-1)}/accept`;
  const taken = await t.call('POST', accept, {
    ...{ token: null, headers: { origin } },
    body: { name: 'Thief', password: 'a long enough one' }
  });
  expect([taken.status, taken.body.code]).toEqual([403, 'has_other_projects']);
  expect((await t.call('POST', accept, { token: body.token, body: {} })).body).toEqual({ project: mine });
});

test('a member who had only a token gets a password through an invitation', async () => {
  const project = await t.project();
  await t.call('POST', `/api/v1/projects/${project}/members`, {
    body: { email: 'cy@example.org', name: 'Cy', role: 'viewer' }
  });
  const made = await t.call('POST', `/api/v1/projects/${project}/invitations`, {
    body: { email: 'cy@example.org', role: 'viewer' }
  });
  const secret = made.body.link.split('/').at(-1);
  const joined = await t.call('POST', `/api/v1/invitations/${secret}/accept`, {
    token: null,
    headers: { origin },
    body: { name: 'Cy', password: 'a long enough one' }
  });
  expect(joined.status).toBe(200);
  expect((await auth('/sign-in/email', person('cy'))).status).toBe(200);
});

test('tokens are made in a session, shown once, and dead when revoked', async () => {
  const cookie = cookieOf(await auth('/sign-in/email', person('ada')));
  const headers = { cookie, origin };
  expect((await t.call('POST', '/api/v1/tokens', { body: { name: 'ci' } })).body.code).toBe('session_needed');
  const { body } = await t.call('POST', '/api/v1/tokens', { token: null, headers, body: { name: 'ci' } });
  expect((await t.call('GET', '/api/v1/me', { token: body.token })).body.user.email).toBe('ada@example.org');
  const listed = await t.call('GET', '/api/v1/tokens', { token: null, headers });
  expect(JSON.stringify(listed.body)).not.toContain(body.token);
  expect((await t.call('DELETE', `/api/v1/tokens/${body.id}`, { token: null, headers })).status).toBe(204);
  expect((await t.call('GET', '/api/v1/me', { token: body.token })).status).toBe(401);
});

test('what is wrong with a body is said by name', async () => {
  const post = (body: unknown, headers = {}) => t.call('POST', '/api/v1/projects', { body, headers });
  expect((await post('{', { 'content-type': 'application/json' })).body.code).toBe('not_json');
  expect((await post('x', { 'content-type': 'text/plain' })).body.code).toBe('json_needed');
  const invalid = await post({ name: 'x', review: { mode: 'secret', overlap: 1 }, criteria: [] });
  expect(invalid.body).toMatchObject({ status: 422, code: 'invalid' });
  expect(invalid.body.detail).toContain('review.mode');
  expect(
    (await post({ name: 'x', review: { mode: 'open', overlap: 1 }, criteria: [], extra: 1 })).body.detail
  ).toContain('extra');
  expect(
    (await post(JSON.stringify({ name: 'x'.repeat(1_100_000) }), { 'content-type': 'application/json' }))
      .status
  ).toBe(413);
});

test('the OpenAPI document lists every call with its answers', async () => {
  const { body } = await t.call('GET', '/api/v1/openapi.json');
  expect(body.openapi).toBe('3.1.0');
  expect(
    body.paths['/projects'].post.requestBody.content['application/json'].schema.properties.review
  ).toBeDefined();
  expect(body.paths['/projects/{project}'].get.parameters[0]).toMatchObject({ name: 'project', in: 'path' });
});
