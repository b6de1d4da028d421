import { expect } from 'vitest';
import * as Y from 'yjs';
import type { RealServer } from '../real-server.ts';
import { openRoom, type RoomClient } from '../room-client.ts';

/** Somebody with a page open on a room, who keeps editing, comes back after every fall and forgets nothing. */
interface Editor {
  room: string;
  token: string;
  doc: Y.Doc;
  acked: Map<number, number>;
  page: RoomClient | null;
  hadId: boolean;
}

interface Person {
  id: string;
  token: string;
}

/** What was promised so far. */
export interface Promised {
  edits: number;
  submissions: number;
}

const OUTPUTS = ['a', 'b', 'c', 'd'];
const NAMES = ['Ada', 'Ben', 'Cleo', 'Dov'];

/** Eight clients that write: four people with their own ballot and the common table open, and one who submits too. */
export class Writers {
  readonly promised: Promised = { edits: 0, submissions: 0 };
  readonly #server: RealServer;
  #task = '';
  #outputs: string[] = [];
  #people: Person[] = [];
  #editors: Editor[] = [];

  constructor(server: RealServer) {
    this.#server = server;
  }

  async prepare(): Promise<void> {
    const review = { mode: 'open', overlap: 20 };
    const { body: project } = await this.#call('POST', '/projects', { name: 'Killed', review, criteria: [] });
    const line = JSON.stringify({ prompt: 'Which?', outputs: OUTPUTS });
    const { body: imported } = await this.#call('POST', `/projects/${project.id}/imports`, line);
    while ((await this.#call('GET', `/imports/${imported.id}`)).body.status !== 'done') await pause(20);
    const [task] = (await this.#call('GET', `/projects/${project.id}/tasks`)).body.items;
    this.#task = task.id;
    this.#outputs = task.outputs.map(({ id }: { id: string }) => id);
    for (const name of NAMES) {
      const given = { email: `${name.toLowerCase()}@example.org`, name, role: 'reviewer' };
      const { body } = await this.#call('POST', `/projects/${project.id}/members`, given);
      this.#people.push({ id: body.user.id, token: body.token });
    }
    const editorOf = (room: string, token: string): Editor => ({
      ...{ room, token, doc: new Y.Doc(), acked: new Map<number, number>(), page: null, hadId: false }
    });
    this.#editors = this.#people.flatMap(({ id, token }) => [
      editorOf(`ballot/${task.id}/${id}`, token),
      editorOf(`table/${task.id}`, token)
    ]);
  }

  /** All come, write for so long, and go on writing while `fall` brings something down; then all are gone. */
  async writeUntil(milliseconds: number, fall: () => Promise<void>): Promise<void> {
    await this.#come();
    const editing = setInterval(() => this.#editors.forEach((one) => this.#edit(one)), 30);
    const over = new AbortController();
    const submitting = this.#submit(over.signal);
    await pause(milliseconds);
    await fall();
    over.abort();
    clearInterval(editing);
    await submitting;
    await Promise.all(this.#editors.map(({ page }) => page!.closed));
  }

  #edit({ doc }: Editor): void {
    const output = this.#outputs[Math.floor(Math.random() * this.#outputs.length)]!;
    doc.getMap('ranks').set(output, Math.random());
    doc.getText('note').insert(0, 'x');
  }

  /** A ranking by API goes through the ballot's room as well, and is a promise too. */
  async #submit(over: AbortSignal): Promise<void> {
    const [{ token }] = this.#people as [Person];
    while (!over.aborted) {
      const tiers = [[this.#outputs[this.promised.submissions % this.#outputs.length]!]];
      const answer = await this.#call('PUT', `/tasks/${this.#task}/ranking`, { tiers }, token).catch(
        () => null
      );
      if (answer?.status === 200) this.promised.submissions = answer.body.version;
      else await pause(10);
    }
  }

  /** The server has everything that it called saved. */
  async expectKept(): Promise<void> {
    for (const { room, token, acked } of this.#editors) {
      for (const clock of acked.values()) this.promised.edits += clock;
      expect(missing(acked, await this.#stored(room, token)), room).toEqual([]);
    }
    const { items } = (await this.#call('GET', `/tasks/${this.#task}/rankings`)).body;
    const versions = items.map(({ version }: { version: number }) => version);
    expect(Math.max(0, ...versions)).toBeGreaterThanOrEqual(this.promised.submissions);
  }

  /** What was never called saved is not lost either: the pages still have it, and deliver it. */
  async expectDelivered(): Promise<void> {
    await this.#come();
    await Promise.all(this.#editors.map(({ page }) => page!.saved()));
    for (const { room, token, doc } of this.#editors) {
      const stored = await this.#stored(room, token);
      expect(missing(clocksOf(doc), stored), room).toEqual([]);
      // On a table this page may lag behind the others; with their edits it must show what the server has.
      Y.applyUpdate(doc, Y.encodeStateAsUpdate(stored));
      expect(shown(doc), room).toEqual(shown(stored));
    }
    for (const { page } of this.#editors) page!.close();
  }

  async #come(): Promise<void> {
    for (const editor of this.#editors) {
      const { room, token, doc, acked, hadId } = editor;
      editor.page = openRoom(this.#server.origin, room, { token, doc, acked, keepClientId: hadId });
    }
    await Promise.all(this.#editors.map(({ page }) => page!.ready));
    for (const editor of this.#editors) editor.hadId = true;
  }

  async #stored(room: string, token: string): Promise<Y.Doc> {
    const stranger = openRoom(this.#server.origin, room, { token });
    await stranger.ready;
    stranger.close();
    return stranger.doc;
  }

  async #call(method: string, path: string, body?: unknown, token = this.#server.owner!) {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const type = typeof body === 'string' ? 'application/jsonl' : 'application/json';
    const headers = { authorization: `Bearer ${token}`, 'content-type': type };
    const response = await fetch(`${this.#server.origin}/api/v1${path}`, { method, headers, body: text });
    return { status: response.status, body: JSON.parse((await response.text()) || 'null') };
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const clocksOf = (doc: Y.Doc) => Y.decodeStateVector(Y.encodeStateVector(doc));
const shown = (doc: Y.Doc) => [doc.getMap('ranks').toJSON(), doc.getText('note').toString()];

/** Clients of whose edits a document has fewer than it should. */
function missing(wanted: Map<number, number>, doc: Y.Doc): number[] {
  const stored = clocksOf(doc);
  return [...wanted].flatMap(([client, clock]) => ((stored.get(client) ?? 0) < clock ? [client] : []));
}
