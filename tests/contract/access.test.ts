import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runsApp, type RunsApp } from '../../server/runs/testing-runs.ts';
import { trainerBuilt } from '../../server/runs/testing-model.ts';

/** "Who may do what" of the API contract, asked of every call that the server has. */
const ROLES = ['owner', 'engineer', 'adjudicator', 'reviewer', 'viewer'] as const;
type Role = (typeof ROLES)[number];

/** `ok`: what a call that is let in answers; `stranger`: what somebody from another project gets. */
interface Expected {
  ok: number;
  stranger: number;
  body?: unknown;
  headers?: Record<string, string>;
}

type Calls = Record<string, number | Partial<Expected>>;

const jsonl = { 'content-type': 'application/jsonl' };
const line = JSON.stringify({ prompt: 'Which one?', chosen: 'This.', rejected: 'That.' });
const frozen = { name: 'By role', eval_fraction: 0, seed: 1 };

/** A row of the table: who is let in, and the calls it is about. Values in braces are filled in from the world below. */
const rows: { what: string; may: Role[]; calls: Calls }[] = [
  {
    what: 'the project itself, as its members see it',
    may: [...ROLES],
    calls: {
      'GET /projects/{project}': 200,
      'GET /projects/{project}/members': 200,
      'GET /projects/{project}/overview': 200,
      'GET /projects/{project}/guidelines': 200,
      'GET /projects/{project}/progress': 200,
      'GET /projects/{project}/tasks': 200,
      'GET /tasks/{task}': 200,
      'GET /tasks/{task}/rankings': 200,
      'GET /tasks/{task}/remarks': 200,
      'PUT /tasks/{task}/remarks/read': { ok: 204, body: { number: 0 } },
      'GET /projects/{project}/tables': 200,
      'GET /projects/{project}/unread': 200,
      'GET /projects/{project}/norming': 200
    }
  },
  {
    what: 'norming: those who may lead a session, here with a reviewer on its panel',
    may: ['owner', 'engineer', 'adjudicator', 'reviewer'],
    calls: { 'GET /norming/{norming}': 200 }
  },
  {
    what: 'leading a norming session',
    may: ['owner', 'engineer', 'adjudicator'],
    calls: {
      // This project is an open one, and that session is still voting: both answers come from behind the door.
      'POST /projects/{project}/norming': { ok: 409, body: { name: 'No panel', members: [], tasks: 1 } },
      'POST /norming/{norming}/close': 409
    }
  },
  {
    what: 'members and what the project asks',
    may: ['owner'],
    calls: {
      'PATCH /projects/{project}': { ok: 200, body: { name: 'Chest films' } },
      'PATCH /projects/{project}/members/{user}': { ok: 200, body: { specialties: ['thorax'] } },
      'POST /projects/{project}/members': {
        ok: 201,
        body: () => ({ email: `${fresh()}@example.org`, name: 'New', role: 'viewer' })
      },
      'POST /projects/{project}/invitations': {
        ok: 201,
        body: { email: 'asked@example.org', role: 'viewer' }
      }
    }
  },
  {
    what: 'saying who is handed what',
    may: ['owner', 'engineer'],
    calls: {
      'POST /projects/{project}/tasks/assign': { ok: 200, body: { tasks: '1-1', specialty: null } }
    }
  },
  {
    what: 'work: import, datasets, runs',
    may: ['owner', 'engineer'],
    calls: {
      'POST /projects/{project}/imports': { ok: 202, body: line, headers: jsonl },
      'POST /projects/{project}/imports/preview': { ok: 200, body: line, headers: jsonl },
      'POST /projects/{project}/datasets': { ok: 201, body: frozen },
      'POST /runs': {
        ok: 201,
        body: { dataset: '{dataset}', model: '{model}', objective: 'dpo', hyperparameters: { max_steps: 1 } }
      },
      'POST /runs/{run}/cancel': 202
    }
  },
  {
    what: 'work, to read',
    may: ['owner', 'engineer', 'viewer'],
    calls: {
      'GET /projects/{project}/imports': 200,
      'GET /imports/{import}': 200,
      'GET /projects/{project}/pairs': 200,
      'GET /projects/{project}/datasets': 200,
      'GET /datasets/{dataset}': 200,
      'GET /datasets/{dataset}/export': 200,
      'GET /projects/{project}/runs': 200,
      'GET /runs/{run}': 200,
      'GET /runs/{run}/events': 200,
      'GET /runs/{run}/log': 200,
      'GET /projects/{project}/adapters': 200,
      'GET /adapters/{adapter}': 200,
      'GET /adapters/{adapter}/files/{file}': 200,
      'GET /adapters/{adapter}/download': 200
    }
  },
  {
    what: 'judging',
    may: ['owner', 'engineer', 'adjudicator', 'reviewer'],
    calls: {
      'POST /projects/{project}/tasks/next': 200,
      'PUT /projects/{project}/goal': { ok: 204, body: { per_day: 40 } },
      'POST /tasks/{task}/skip': { ok: 204, body: {} },
      'DELETE /tasks/{task}/skip': { ok: 204 },
      'DELETE /tasks/{task}/lease': 204,
      'POST /projects/{project}/tasks/along': 200,
      'DELETE /projects/{project}/tasks/along': { ok: 204, body: { tasks: ['{task}'] } },
      'PUT /tasks/{task}/ranking': { ok: 200, body: { tiers: [['{output}']] } },
      'POST /tasks/{task}/ranking/undo': { ok: 200 },
      'POST /tasks/{task}/remarks': { ok: 201, body: { text: 'Look at the side.' } },
      // Nobody has placed anything on the table: that answer comes from behind the door.
      'POST /tasks/{task}/consensus': 422,
      'POST /rooms/clients': { ok: 200, stranger: 403, body: { room: 'table/{task}' } }
    }
  },
  {
    what: 'deciding',
    may: ['owner', 'adjudicator'],
    calls: {
      'POST /tasks/{task}/reveal': 204,
      'POST /tasks/{task}/adjudication': { ok: 200, body: { tiers: [['{output}']], reason: 'As it is.' } }
    }
  },
  {
    what: 'models, which belong to no project: whoever may work somewhere',
    may: ['owner', 'engineer'],
    calls: { 'POST /models': { ok: 200, stranger: 200, body: { path: 'tiny' } } }
  },
  {
    what: 'models, to read',
    may: ['owner', 'engineer', 'viewer'],
    calls: {
      'GET /models': { stranger: 200 },
      'GET /models/{model}': { stranger: 200 },
      'GET /models/{model}/preview': { stranger: 200 },
      'GET /models/{model}/preview/{previewfile}': { stranger: 200 }
    }
  },
  {
    what: 'what belongs to the caller: every account, whatever its roles',
    may: [...ROLES],
    calls: {
      'GET /openapi.json': { stranger: 200 },
      'GET /me': { stranger: 200 },
      'GET /projects': { stranger: 200 },
      'GET /tokens': { stranger: 200 },
      // Somebody else's.
      'DELETE /tokens/{token}': { ok: 404, stranger: 404 }
    }
  },
  {
    what: 'the instance: its owner, and no role in a project; tokens are made in the browser only',
    may: [],
    calls: {
      'POST /projects': {
        stranger: 403,
        body: { name: 'Mine', review: { mode: 'open', overlap: 1 }, criteria: [] }
      },
      'POST /tokens': { stranger: 403, body: { name: 'Mine' } }
    }
  }
];

/** What answers before anyone is known, by the secret in its address alone. */
const OPEN = ['GET /invitations/{secret}', 'POST /invitations/{secret}/accept'];

let t: RunsApp;
let world: Record<string, string>;
const tokens = new Map<Role | 'stranger', string>();
let made = 0;
const fresh = () => `person-${made++}`;
const built = test.skipIf(!trainerBuilt);

beforeAll(async () => {
  if (!trainerBuilt) return;
  t = await runsApp();
  const { project, dataset } = await t.dataset(8, { overlap: ROLES.length });
  const ids = new Map<Role, string>();
  for (const role of ROLES) {
    const { id, token } = await t.member(project, role);
    tokens.set(role, token);
    ids.set(role, id);
  }
  tokens.set('stranger', (await t.member(await t.project(), 'owner')).token);
  const run = await t.start({
    ...{ dataset, model: t.model, objective: 'dpo', hyperparameters: { max_steps: 1 } }
  });
  const { adapter } = await t.ended(run.body.id);
  const { items } = await read(`/projects/${project}/tasks`);
  const imports = await read(`/projects/${project}/imports`);
  const norming = await keepNorming(project, [ids.get('adjudicator')!, ids.get('reviewer')!], items[1].id);
  const preview = await read(`/models/${t.model}/preview`);
  world = {
    ...{ project, dataset, import: imports.items[0].id, run: run.body.id, adapter: adapter!, model: t.model },
    ...{ task: items[0].id, output: items[0].outputs[0].id, file: 'adapter_config.json' },
    ...{ previewfile: preview.files[0].name, token: 'token_of_another', secret: 'of-no-invitation' },
    ...{ norming, user: ids.get('reviewer')! }
  };
});
afterAll(() => t?.close());

const read = async (path: string) => (await t.call('GET', `/api/v1${path}`)).body;

/** As it stands while its panel votes: in this open project nobody could begin one. */
async function keepNorming(project: string, members: string[], task: string): Promise<string> {
  const { db } = t;
  const id = 'norming_kept';
  await db.execute(sql`insert into norming_session (id, project_id, name, status, created_by)
    values (${id}, ${project}, 'Norming', 'voting', ${members[0]})`);
  for (const member of members) await db.execute(sql`insert into norming_member values (${id}, ${member})`);
  await db.execute(sql`insert into norming_task values (${id}, ${task})`);
  return id;
}

const fill = (text: string) => text.replace(/\{(\w+)\}/g, (_, name: string) => world[name]!);

function expectedOf(given: number | Partial<Expected>): Expected {
  return { ok: 200, stranger: 404, ...(typeof given === 'number' ? { ok: given } : given) };
}

/** Makes the call and lets its answer go: a stream of events would otherwise stay open. */
async function ask(name: string, token: string | null, { body, headers }: Partial<Expected>) {
  const [method, path] = name.split(' ') as [string, string];
  const made = typeof body === 'function' ? body() : body;
  const sent = made === undefined || typeof made === 'string' ? made : JSON.parse(fill(JSON.stringify(made)));
  const answer = await t.call(method, `/api/v1${fill(path)}`, { token, body: sent, headers });
  await answer.response.body?.cancel();
  return `${answer.status} ${answer.body?.code ?? ''}`.trim();
}

const entries = rows.flatMap(({ what, may, calls }) =>
  Object.entries(calls).map(([name, given]) => ({ what, may, name, expected: expectedOf(given) }))
);

built('every call that the server has stands in the table, and no other', async () => {
  const { paths } = await read('/openapi.json');
  const published = Object.entries(paths as Record<string, object>).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${named(path)}`)
  );
  expect(published.sort()).toEqual([...entries.map(({ name }) => name), ...OPEN].sort());
});

/** The files of adapters and of previews have one parameter's name. */
const named = (path: string) =>
  path.replace('/files/{name}', '/files/{file}').replace('/preview/{name}', '/preview/{previewfile}');

built('each role is let in where the table says so, and nowhere else', async () => {
  const wrong: string[] = [];
  for (const { name, may, expected } of entries)
    for (const role of ROLES) {
      const answer = await ask(name, tokens.get(role)!, expected);
      const right = may.includes(role) ? `${expected.ok}` : '403';
      if (!answer.startsWith(right)) wrong.push(`${role}: ${name} answered ${answer}, not ${right}`);
    }
  expect(wrong).toEqual([]);
});

built('an owner of another project learns nothing, not even that it is there', async () => {
  const wrong: string[] = [];
  for (const { name, expected } of entries) {
    const answer = await ask(name, tokens.get('stranger')!, expected);
    if (!answer.startsWith(`${expected.stranger}`))
      wrong.push(`${name} answered ${answer}, not ${expected.stranger}`);
  }
  expect(wrong).toEqual([]);
});

built('without a caller, and with a token that never was, only invitations answer', async () => {
  for (const { name, expected } of entries)
    for (const token of [null, 'concord_never_was'])
      expect([name, await ask(name, token, expected)]).toEqual([name, '401 not_signed_in']);
  const headers = { origin: t.config.origin };
  for (const name of OPEN) expect(await ask(name, null, { headers })).toBe('404 invitation_unknown');
  expect(await ask(OPEN[1]!, null, { headers: { origin: 'https://elsewhere.example' } })).toBe(
    '403 foreign_origin'
  );
});
