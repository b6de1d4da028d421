import { vi } from 'vitest';
import type { NewProject, Project } from '#wire/project.ts';
import type { Task } from '#wire/task.ts';
import type { z } from 'zod';
import { realServer, type RealServer } from '../real-server.ts';
import { invite } from './desk.ts';
import { callAs, openBrowser, person, signUpFirst, type Person } from './people.ts';

/** A blind panel of three, each in a browser of their own: Ada owns the project, Bo and Cy review. */
export interface Panel {
  server: RealServer;
  people: [Person, Person, Person];
  project: string;
  /** Of the rows, in their order. */
  tasks: Task[];
  close(): Promise<void>;
}

export async function openPanel(
  given: Pick<z.input<typeof NewProject>, 'name' | 'criteria'> & { overlap: number },
  rows: object[]
): Promise<Panel> {
  const server = await realServer();
  const browsers = await Promise.all([openBrowser(), openBrowser(), openBrowser()]);
  const people = (await Promise.all(
    ['Ada Osei', 'Bo Lindqvist', 'Cy Ferrer'].map((name, at) => person(browsers[at]!, server.origin, name))
  )) as Panel['people'];
  const [ada, bo, cy] = people;
  await signUpFirst(ada);
  const { overlap, ...rest } = given;
  const made = { ...rest, review: { mode: 'blind', overlap } };
  const { id: project } = (await callAs<Project>(ada, 'POST', '/projects', made)).body;
  for (const who of [bo, cy]) await invite(ada, project, who, 'reviewer');
  const tasks = await imported(ada, project, rows);
  const close = async () => {
    await Promise.all(browsers.map((browser) => browser.close()));
    await server.stop();
  };
  return { server, people, project, tasks, close };
}

async function imported(by: Person, project: string, rows: object[]): Promise<Task[]> {
  await by.context.request.post(`/api/v1/projects/${project}/imports`, {
    headers: { origin: by.origin, 'content-type': 'application/jsonl' },
    data: rows.map((row) => JSON.stringify(row)).join('\n')
  });
  return vi.waitFor(async () => {
    const { body } = await callAs<{ items: Task[] }>(by, 'GET', `/projects/${project}/tasks`);
    if (body.items.length < rows.length) throw new Error('The tasks are not imported yet.');
    return body.items;
  }, 30_000);
}
