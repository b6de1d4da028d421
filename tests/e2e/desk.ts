import type { Browser, Page } from 'playwright-core';
import type { Ranking } from '#wire/ranking.ts';
import type { Task } from '#wire/task.ts';
import { realServer, type RealServer } from '../real-server.ts';
import {
  acceptInvitation,
  callAs,
  openBrowser,
  person,
  press,
  saved,
  signUpFirst,
  type Person
} from './people.ts';

/** A real server with the demo project, its owner Ada and a reviewer Bo, each in a browser of their own. */
export interface Desk {
  server: RealServer;
  browser: Browser;
  origin: string;
  ada: Person;
  bo: Person;
  demo: string;
  close(): Promise<void>;
}

export async function openDesk(): Promise<Desk> {
  const server = await realServer();
  const browser = await openBrowser();
  const ada = await person(browser, server.origin, 'Ada Osei');
  const bo = await person(browser, server.origin, 'Bo Lindqvist');
  const demo = await signUpFirst(ada);
  await invite(ada, demo, bo, 'reviewer');
  const close = async () => {
    await browser.close();
    await server.stop();
  };
  return { server, browser, origin: server.origin, ada, bo, demo, close };
}

export async function invite(
  by: Person,
  project: string,
  who: Person,
  role: string,
  hasAccount = false
): Promise<void> {
  const { body } = await callAs<{ link: string }>(by, 'POST', `/projects/${project}/invitations`, {
    email: who.email,
    role
  });
  await acceptInvitation(who, body.link, hasAccount);
}

export async function taskOf(who: Person, project: string, number: number): Promise<Task> {
  const path = `/projects/${project}/tasks?limit=1&cursor=${number - 1}`;
  return (await callAs<{ items: Task[] }>(who, 'GET', path)).body.items[0]!;
}

export async function open({ page }: Person, task: Task): Promise<Page> {
  await page.goto(`/projects/${task.project}/review/${task.id}`);
  await saved(page);
  return page;
}

export const rankingsOf = async (who: Person, task: Task) =>
  (await callAs<{ items: Ranking[] }>(who, 'GET', `/tasks/${task.id}/rankings`)).body.items;

/** Leaves the page of a task by a key or a button, and waits for the next. */
export async function passOn(page: Page, act: () => Promise<void>): Promise<void> {
  const from = page.url();
  await act();
  await page.waitForURL((url) => url.href !== from && /review\/task_/.test(url.pathname));
  await saved(page);
}

/** The next task is there before the server has this one: waits for its word too. */
export async function submitOn(page: Page, { number }: Task): Promise<void> {
  await passOn(page, () => press(page, 'Control+Enter'));
  await page.getByText(`Task ${number} is submitted.`).waitFor();
}

export const tap = (page: Page, letter: string, place: number) =>
  page
    .getByRole('group', { name: `Place of output ${letter}` })
    .getByRole('button', { name: `Place ${place}` })
    .click();

/** How much lies on the device of anybody, by store. */
export const onDevice = (page: Page) =>
  page.evaluate(async () => {
    const wait = <T>(request: IDBRequest<T>) =>
      new Promise<T>((resolve) => (request.onsuccess = () => resolve(request.result)));
    const counts: Record<string, number> = {};
    for (const { name } of await indexedDB.databases()) {
      if (!name?.startsWith('concord-')) continue;
      const db = await wait(indexedDB.open(name));
      for (const store of db.objectStoreNames)
        counts[store] = (counts[store] ?? 0) + (await wait(db.transaction(store).objectStore(store).count()));
      db.close();
    }
    return counts;
  });
