import { afterAll, beforeAll, expect, test } from 'vitest';
import * as Y from 'yjs';
import { realServer, type RealServer } from '../real-server.ts';
import { openRoom, type RoomClient } from '../room-client.ts';

const ROUNDS = 20;

let server: RealServer;
beforeAll(async () => {
  server = await realServer({ bootstrap: true });
});
afterAll(() => server.stop());

async function call(method: string, path: string, body?: unknown, token = server.owner!) {
  const response = await fetch(`${server.origin}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body)
  });
  const text = await response.text();
  return { status: response.status, body: text.startsWith('{') ? JSON.parse(text) : null };
}

async function makeTask() {
  const review = { mode: 'open', overlap: 20 };
  const { body: project } = await call('POST', '/projects', { name: 'Killed', review, criteria: [] });
  const line = JSON.stringify({ prompt: 'Which?', outputs: ['a', 'b', 'c', 'd'] });
  const response = await fetch(`${server.origin}/api/v1/projects/${project.id}/imports`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.owner}`, 'content-type': 'application/jsonl' },
    body: line
  });
  const { id } = (await response.json()) as { id: string };
  while ((await call('GET', `/imports/${id}`)).body.status !== 'done')
    await new Promise((resolve) => setTimeout(resolve, 20));
  const { items } = (await call('GET', `/projects/${project.id}/tasks`)).body;
  return {
    project: project.id as string,
    task: items[0].id as string,
    outputs: items[0].outputs as { id: string }[]
  };
}

/** Somebody with a page open on a room, who keeps editing, comes back after every kill and forgets nothing. */
interface Editor {
  room: string;
  token: string;
  doc: Y.Doc;
  acked: Map<number, number>;
  page: RoomClient | null;
  hadId: boolean;
}

async function connect(editor: Editor): Promise<void> {
  const { token, doc, acked, hadId } = editor;
  editor.page = openRoom(server.origin, editor.room, { token, doc, acked, keepClientId: hadId });
  await editor.page.ready;
  editor.hadId = true;
}

const clocksOf = (doc: Y.Doc) => Y.decodeStateVector(Y.encodeStateVector(doc));
const shown = (doc: Y.Doc) => [doc.getMap('ranks').toJSON(), doc.getText('note').toString()];

/** Clients of whose edits a document has fewer than it should. */
function missing(wanted: Map<number, number>, doc: Y.Doc): number[] {
  const stored = clocksOf(doc);
  return [...wanted].flatMap(([client, clock]) => ((stored.get(client) ?? 0) < clock ? [client] : []));
}

test(
  `killed ${ROUNDS} times while people rank, the server has everything it called saved`,
  { timeout: 600_000 },
  async () => {
    const { project, task, outputs } = await makeTask();
    const people = await Promise.all(
      ['Ada', 'Ben', 'Cleo'].map(async (name) => {
        const given = { email: `${name.toLowerCase()}@example.org`, name, role: 'reviewer' };
        const { body } = await call('POST', `/projects/${project}/members`, given);
        return { id: body.user.id as string, token: body.token as string };
      })
    );
    const editorOf = (room: string, token: string): Editor => ({
      ...{ room, token, doc: new Y.Doc(), acked: new Map<number, number>(), page: null, hadId: false }
    });
    const editors = people.flatMap(({ id, token }) => [
      editorOf(`ballot/${task}/${id}`, token),
      editorOf(`table/${task}`, token)
    ]);
    let submitted = 0;
    let acknowledgedEdits = 0;

    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(editors.map(connect));
      let dead = false;
      const edit = ({ doc }: Editor) => {
        const output = outputs[Math.floor(Math.random() * outputs.length)]!.id;
        doc.getMap('ranks').set(output, Math.random());
        doc.getText('note').insert(0, 'x');
      };
      const editing = setInterval(() => editors.forEach(edit), 30);
      // A ranking by API goes through the ballot room as well, and is a promise too.
      const submitting = (async () => {
        while (!dead) {
          const tiers = [[outputs[submitted % 4]!.id]];
          const answer = await call('PUT', `/tasks/${task}/ranking`, { tiers }, people[0]!.token).catch(
            () => null
          );
          if (answer?.status === 200) submitted = answer.body.version;
        }
      })();
      await new Promise((resolve) => setTimeout(resolve, 60 + Math.random() * 350));
      await server.kill();
      dead = true;
      clearInterval(editing);
      await submitting;
      await Promise.all(editors.map(({ page }) => page!.closed));
      await server.start();

      for (const { room, token, acked } of editors) {
        const stranger = openRoom(server.origin, room, { token });
        await stranger.ready;
        for (const clock of acked.values()) acknowledgedEdits += clock;
        expect(missing(acked, stranger.doc)).toEqual([]);
        stranger.close();
      }
      const { items } = (await call('GET', `/tasks/${task}/rankings`, undefined, people[0]!.token)).body;
      const versions = items.map(({ version }: { version: number }) => version);
      expect(Math.max(0, ...versions)).toBeGreaterThanOrEqual(submitted);
    }

    // What was never called saved is not lost either: the pages still have it, and deliver it.
    await Promise.all(editors.map(connect));
    await Promise.all(editors.map(({ page }) => page!.saved()));
    for (const { room, token, doc } of editors) {
      const stranger = openRoom(server.origin, room, { token });
      await stranger.ready;
      expect(missing(clocksOf(doc), stranger.doc)).toEqual([]);
      // On a table this page may lag behind the others; with their edits it must show what the server has.
      Y.applyUpdate(doc, Y.encodeStateAsUpdate(stranger.doc));
      expect(shown(doc)).toEqual(shown(stranger.doc));
      stranger.close();
    }
    for (const { page } of editors) page!.close();
    expect(submitted).toBeGreaterThan(ROUNDS / 2);
    expect(acknowledgedEdits).toBeGreaterThan(ROUNDS * 10);
  }
);
