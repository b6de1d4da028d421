import * as Y from 'yjs';
import { syncFrame } from '../../../server/rooms/testing-room.ts';
import { Deliveries } from '../../../src/lib/live/deliveries.ts';
import { openLine, type Line as LiveLine } from '../../../src/lib/live/line.ts';
import type { ClientEnd, SimulatedLine } from './line.ts';

const UPDATE = 2;

/** What a device keeps of edits that the server does not have yet: outlives the page, as IndexedDB does. */
export class Device {
  readonly #kept = new Map<string, Set<Uint8Array>>();

  of(room: string): Set<Uint8Array> {
    const kept = this.#kept.get(room) ?? new Set<Uint8Array>();
    this.#kept.set(room, kept);
    return kept;
  }
}

export interface Surroundings {
  userId: string;
  room: string;
  device: Device;
  /** Asks the server in; the answer comes through the client's end. */
  connect(end: ClientEnd): { line(): SimulatedLine | null; giveUp(): void };
  /** The page shows "saved" now. */
  saysSaved(page: SimulatedPage): void;
  /** Somebody else's edit is shown now. */
  shows(page: SimulatedPage, update: Uint8Array): void;
  /** A bug for the test of a checker: `saved` is taken for more than it says. */
  overhears?: boolean;
}

/** The browser's half of a room without the browser: the same line and the same book of deliveries as the page has. */
export class SimulatedPage {
  readonly doc = new Y.Doc();
  readonly ranks = this.doc.getMap<number>('ranks');
  readonly note = this.doc.getText('note');
  readonly around: Surroundings;
  ready = false;
  saved = false;
  refused: number | null = null;
  readonly #deliveries = new Deliveries();
  readonly #line: LiveLine;
  readonly #mine = new Set<Uint8Array>();
  #connected = false;
  #closed = false;

  constructor(around: Surroundings) {
    this.around = around;
    const kept = around.device.of(around.room);
    for (const update of kept) {
      for (const client of Y.parseUpdateMeta(update).to.keys()) this.#deliveries.owns(client);
      Y.applyUpdate(this.doc, update, kept);
      this.#mine.add(update);
    }
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === kept) return;
      if (origin === this.#line.provider) return around.shows(this, update);
      this.#deliveries.edited();
      kept.add(update);
      this.#mine.add(update);
      this.#look();
    });
    if (around.overhears) this.#deliveries.covers = () => true;
    let admitted = false;
    globalThis.WebSocket = socketClass(around) as unknown as typeof WebSocket;
    this.#line = openLine(around.room, this.doc, this.#deliveries, {
      admitted: () => (admitted = true),
      synced: () => {
        this.ready = admitted;
        this.#look();
      },
      delivered: () => this.#look(),
      connected: (connected) => {
        this.#connected = connected;
        this.#look();
      },
      refused: (code) => (this.refused = code)
    });
  }

  #look(): void {
    if (this.#closed) return;
    const mine = Y.decodeStateVector(Y.encodeStateVector(this.doc));
    this.saved = this.#connected && this.#deliveries.covers(mine);
    if (!this.saved) return;
    this.around.saysSaved(this);
    const kept = this.around.device.of(this.around.room);
    for (const update of this.#mine) kept.delete(update);
    this.#mine.clear();
  }

  /** Sends an update once more, as an impatient network would. */
  repeat(): void {
    const socket = this.#line.provider.ws as { send(frame: Uint8Array): void; readyState: number } | null;
    if (socket?.readyState !== 1) return;
    socket.send(syncFrame(UPDATE, Y.encodeStateAsUpdate(this.doc)));
  }

  hold(output: string): void {
    this.#line.say({ output });
  }

  /** The tab is closed, reloaded or killed. */
  close(): void {
    this.#closed = true;
    this.saved = false;
    this.#line.close();
  }
}

/** A browser's WebSocket, as far as y-websocket uses it. */
function socketClass({ connect }: Surroundings) {
  return class {
    static readonly OPEN = 1;
    readonly OPEN = 1;
    readyState = 0;
    binaryType = 'arraybuffer';
    onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;
    onopen: (() => void) | null = null;
    onclose: ((event: { code: number; reason: string }) => void) | null = null;
    onerror: (() => void) | null = null;
    readonly link = connect({
      opened: () => {
        if (this.readyState !== 0) return;
        this.readyState = 1;
        this.onopen?.();
      },
      received: (frame) => this.readyState === 1 && this.onmessage?.({ data: frame.buffer as ArrayBuffer }),
      closed: (code, reason) => {
        if (this.readyState === 3) return;
        this.readyState = 3;
        this.onclose?.({ code, reason });
      }
    });
    send(frame: Uint8Array): void {
      if (this.readyState === 1) this.link.line()?.send(frame);
    }
    close(): void {
      this.readyState = 3;
      this.link.giveUp();
    }
  };
}
