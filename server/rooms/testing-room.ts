import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import { WebSocket } from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { CLIENT, SAVED } from '#wire/room.ts';
import { addTask } from '../tasks/index.ts';
import { testApp, type TestApp } from '../testing-app.ts';

export interface RoomApp extends TestApp {
  server: Server;
  url: string;
  sql(text: string, values?: unknown[]): Promise<any[]>;
  /** A task with that many outputs. */
  task(project: string, outputs?: number): Promise<{ id: string; outputs: string[] }>;
}

/** The whole server on a port, with sockets. */
export async function roomApp(): Promise<RoomApp> {
  const t = await testApp();
  const { db } = t;
  const server = createServer((_, response) => response.end());
  server.on('upgrade', (request, socket, head) => t.app.upgrade(request, socket, head));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    ...t,
    server,
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/yjs`,
    sql: async (text, values) => (await db.$client.query(text, values)).rows,
    async task(projectId, count = 3) {
      const outputs = Array.from({ length: count }, (_, i) => ({ text: `output ${i}` }));
      const prompt = [{ role: 'user' as const, content: 'Describe the film.' }];
      const { id, outputIds } = await db.transaction((tx) => addTask(tx, { projectId, prompt, outputs }));
      return { id, outputs: outputIds };
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await t.close();
    }
  };
}

export interface Page {
  doc: Y.Doc;
  provider: WebsocketProvider;
  ranks: Y.Map<unknown>;
  clientId: number | null;
  savedFrames: number;
  savedVector: Map<number, number>;
  /** Sync frames sent on this connection. */
  sent: number;
  closed: Promise<number>;
  /** Resolves once everything that this page did is on disk, as the contract says it. */
  saved(): Promise<void>;
  destroy(): void;
}

/** y-websocket's own client with the handlers for our two messages: what a page of any maker would be. */
export async function openPage(url: string, room: string, token: string, doc = new Y.Doc()): Promise<Page> {
  class Socket extends WebSocket {
    constructor(address: string, protocols: string[]) {
      super(address, protocols, { headers: { authorization: `Bearer ${token}` } });
      page.sent = 0;
      page.savedFrames = 0;
    }
    override send(data: any): void {
      if (new Uint8Array(data)[0] === 0) page.sent++;
      super.send(data);
    }
  }
  const provider = new WebsocketProvider(url, room, doc, {
    WebSocketPolyfill: Socket as unknown as typeof globalThis.WebSocket,
    disableBc: true,
    connect: false
  });
  let ready!: () => void;
  const issued = new Promise<void>((resolve) => (ready = resolve));
  const page: Page = {
    ...{ doc, provider, ranks: doc.getMap('ranks') },
    ...{ clientId: null, savedFrames: 0, savedVector: new Map(), sent: 0 },
    closed: new Promise((resolve) => provider.on('closed', ({ code }) => resolve(code))),
    async saved() {
      for (;;) {
        const id = page.clientId;
        const behind = id === null || (page.savedVector.get(id) ?? 0) < Y.getState(doc.store, id);
        if (provider.synced && !behind && page.savedFrames >= page.sent) return;
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    },
    destroy() {
      provider.destroy();
      doc.destroy();
    }
  };
  provider.messageHandlers[CLIENT] = (_, decoder) => {
    const id = decoding.readVarUint(decoder);
    if (page.clientId === null) page.clientId = adopt(provider, id);
    ready();
  };
  provider.messageHandlers[SAVED] = (_, decoder) => {
    page.savedVector = Y.decodeStateVector(decoding.readVarUint8Array(decoder));
    page.savedFrames = decoding.readVarUint(decoder);
  };
  provider.connect();
  await Promise.race([issued, page.closed]);
  return page;
}

function adopt(provider: WebsocketProvider, id: number): number {
  const state = provider.awareness.getLocalState();
  provider.awareness.setLocalState(null);
  provider.doc.clientID = id;
  provider.awareness.clientID = id;
  provider.awareness.setLocalState(state);
  return id;
}

/** A bare socket that says what it is told to. */
export async function rawSocket(url: string, room: string, headers: Record<string, string>) {
  const socket = new WebSocket(`${url}/${room}`, { headers });
  const received: Uint8Array[] = [];
  socket.on('message', (data: Buffer) => received.push(new Uint8Array(data)));
  const closed = new Promise<number>((resolve) => socket.on('close', resolve));
  socket.on('error', () => {});
  await Promise.race([new Promise((resolve) => socket.on('open', resolve)), closed]);
  return {
    socket,
    closed,
    received,
    /** The client id this socket was given. */
    async clientId(): Promise<number> {
      while (!received.length) await new Promise((resolve) => setTimeout(resolve, 2));
      const decoder = decoding.createDecoder(received[0]!);
      return decoding.readVarUint(decoder) === CLIENT ? decoding.readVarUint(decoder) : NaN;
    },
    /** Sends an update as y-websocket would. */
    update(bytes: Uint8Array) {
      socket.send(syncFrame(2, bytes));
    }
  };
}

export function syncFrame(step: number, payload: Uint8Array): Uint8Array {
  const encoder = encoding.createEncoder();
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarUint(encoder, step);
  encoding.writeVarUint8Array(encoder, payload);
  return encoding.toUint8Array(encoder);
}

/** The update of a change made under a client id, with Yjs's own encoder. */
export function updateBy(clientId: number, change: (doc: Y.Doc) => void, base?: Uint8Array): Uint8Array {
  const doc = new Y.Doc();
  if (base) Y.applyUpdate(doc, base);
  doc.clientID = clientId;
  const before = Y.encodeStateVector(doc);
  change(doc);
  return Y.encodeStateAsUpdate(doc, before);
}
