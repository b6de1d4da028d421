import { afterAll, beforeAll, expect, test } from 'vitest';
import { letterOrder } from '#domain/shown-order.ts';
import type { Ranking } from '#wire/ranking.ts';
import type { Task } from '#wire/task.ts';
import { testApp, type TestApp } from '../testing-app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await testApp();
});
afterAll(() => t.close());

type Browser = Record<'cookie' | 'origin', string>;

/** Somebody who joined the project through its page. */
async function join(project: string, name: string, role = 'reviewer'): Promise<Browser> {
  const made = await t.call('POST', `/api/v1/projects/${project}/invitations`, {
    body: { email: `${name}.${project}@example.org`, role }
  });
  const headers = { origin: t.config.origin };
  const { response } = await t.call(
    'POST',
    `/api/v1/invitations/${made.body.link.split('/').at(-1)}/accept`,
    { token: null, headers, body: { name, password: 'a long enough one' } }
  );
  const cookie = response.headers.getSetCookie().map((one) => one.split(';')[0]);
  return { ...headers, cookie: cookie.join('; ') };
}

async function project(mode: 'blind' | 'open', outputs: number, overlap = 4) {
  const id = await t.project({ mode, overlap });
  const texts = Array.from({ length: outputs }, (_, i) => ({ text: `text ${i}`, source: `model ${i}` }));
  const sent = await t.call('POST', `/api/v1/projects/${id}/imports`, {
    body: JSON.stringify({ prompt: `Which of ${outputs}?`, outputs: texts }),
    headers: { 'content-type': 'application/jsonl' }
  });
  const done = async () => (await t.call('GET', `/api/v1/imports/${sent.body.id}`)).body.status;
  await expect.poll(done).toBe('done');
  const { body } = await t.call('GET', `/api/v1/projects/${id}/tasks`);
  return { id, imported: body.items[0] as Task };
}

const as = async <T>(headers: Browser, method: string, path: string, body?: unknown): Promise<T> =>
  (await t.call(method, `/api/v1${path}`, { token: null, headers, body })).body;
const nextOf = (headers: Browser, id: string) => as<Task>(headers, 'POST', `/projects/${id}/tasks/next`);
const ids = ({ outputs }: Task) => outputs.map(({ id }) => id);

test('in a blind project those who judge a task read its outputs in orders that balance each other', async () => {
  const { id, imported } = await project('blind', 4);
  const shown: string[][] = [];
  for (const name of ['ada', 'bo', 'cy', 'dee']) {
    const task = await nextOf(await join(id, name), id);
    expect(ids(task)).toEqual(letterOrder(imported.outputs).map((output) => output.id));
    shown.push(task.shown_order!);
  }
  for (let place = 0; place < 4; place++)
    expect(new Set(shown.map((order) => order[place])).size, `place ${place}`).toBe(4);
});

test('the order stays while the task is read again, and goes with the vote', async () => {
  const { id } = await project('blind', 3);
  const [ada, bo] = [await join(id, 'ada'), await join(id, 'bo')];
  const tasks = [await nextOf(ada, id), await nextOf(bo, id)];
  expect(tasks[0]!.shown_order).not.toEqual(tasks[1]!.shown_order);
  for (const [i, person] of [ada, bo].entries()) {
    const task = tasks[i]!;
    expect((await as<Task>(person, 'GET', `/tasks/${task.id}`)).shown_order).toEqual(task.shown_order);
    expect((await nextOf(person, id)).shown_order).toEqual(task.shown_order);
    const tiers = task.outputs.map((output) => [output.id]);
    const ranking = await as<Ranking>(person, 'PUT', `/tasks/${task.id}/ranking`, { tiers });
    expect(ranking.shown_order).toEqual(task.shown_order);
  }
});

test('a page that was opened by its link before the task was handed out says which order it showed', async () => {
  for (let n = 0, differed = 0; differed < 2; n++) {
    expect(n).toBeLessThan(20);
    const { id, imported } = await project('blind', 4);
    const ada = await join(id, 'ada');
    const opened = (await as<Task>(ada, 'GET', `/tasks/${imported.id}`)).shown_order!;
    const leased = (await nextOf(ada, id)).shown_order!;
    if (opened.join() === leased.join()) continue;
    differed++;
    const submit = async (shown_order?: string[]) =>
      (
        await as<Ranking>(ada, 'PUT', `/tasks/${imported.id}/ranking`, {
          tiers: [[opened[0]!]],
          ...(shown_order ? { shown_order } : {})
        })
      ).shown_order;
    expect(await submit(opened)).toEqual(opened);
    expect(await submit(leased)).toEqual(leased);
    expect(await submit()).toEqual(leased);
    // An order that nobody gave is not believed.
    const others = [0, 1, 2].map((n) => leased.toSpliced(n, 2, leased[n + 1]!, leased[n]!));
    const nobodys = others.find((order) => order.join() !== opened.join())!;
    expect(await submit(nobodys)).toEqual(leased);
  }
});

test('who skipped gives their order free for the next', async () => {
  const { id } = await project('blind', 2);
  const [ada, bo, cy] = [await join(id, 'ada'), await join(id, 'bo'), await join(id, 'cy')];
  const task = await nextOf(ada, id);
  await as(ada, 'POST', `/tasks/${task.id}/skip`, {});
  const orders = [await nextOf(bo, id), await nextOf(cy, id)].map((one) => one.shown_order);
  expect(orders[0]).toEqual(task.shown_order);
  expect(orders[1]).toEqual(task.shown_order!.toReversed());
});

test('open projects, revealed tasks and those who only look have the order of the letters; a token that of the import', async () => {
  const open = await project('open', 4);
  expect((await nextOf(await join(open.id, 'ada'), open.id)).shown_order).toBeUndefined();

  const { id, imported } = await project('blind', 4, 1);
  const [ada, viewer] = [await join(id, 'ada'), await join(id, 'vi', 'viewer')];
  expect((await as<Task>(viewer, 'GET', `/tasks/${imported.id}`)).shown_order).toBeUndefined();
  const byToken = await t.member(id, 'reviewer');
  const { body } = await t.call('GET', `/api/v1/tasks/${imported.id}`, { token: byToken.token });
  expect(body.outputs.map(({ text }: { text: string }) => text)).toEqual(
    [0, 1, 2, 3].map((i) => `text ${i}`)
  );
  expect(body.shown_order).toBeUndefined();

  const tiers = ids(await nextOf(ada, id)).map((output) => [output]);
  await as(ada, 'PUT', `/tasks/${imported.id}/ranking`, { tiers });
  const revealed = await as<Task>(ada, 'GET', `/tasks/${imported.id}`);
  expect(revealed).toMatchObject({ status: 'revealed' });
  expect(revealed.shown_order).toBeUndefined();
});
