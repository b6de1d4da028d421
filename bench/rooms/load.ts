import { WebSocket } from 'ws';
import * as Y from 'yjs';
import type { Protocol } from './protocol.ts';

export interface Seat {
  room: string;
  token: string;
  /** The key of the document's ratings that this person writes. */
  key: string;
}

export interface Measured {
  sent: number;
  /** Edits that arrived at somebody else's end, and how many should have. */
  heard: number;
  due: number;
  p50: number;
  p99: number;
}

/** Eight bytes that lib0 writes as they are: three that mark the number, then who and which edit. */
const MARK = Buffer.from([123, 0x43, 0x3c, 0xa5]);
const EDITS_REMEMBERED = 4_096;

function marked(seat: number, edit: number): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, (0x433ca5 << 8) | (seat >> 4));
  view.setUint32(4, ((seat & 15) << 28) | edit);
  return view.getFloat64(0);
}

export interface Edit {
  seat: number;
  number: number;
  frame: Uint8Array;
}

/** All people's ends of a server, in this process: they write, hear what others wrote, and take the time of it. */
export class Crowd {
  readonly #protocol: Protocol;
  readonly #seats: Seat[];
  readonly #sockets: WebSocket[] = [];
  readonly #make: ((value: number) => Uint8Array)[] = [];
  readonly #edits: number[];
  readonly #sentAt: Float64Array[];
  #times: number[] = [];
  #made = 0;
  closed = 0;

  constructor(protocol: Protocol, seats: Seat[]) {
    this.#protocol = protocol;
    this.#seats = seats;
    this.#edits = seats.map(() => 0);
    this.#sentAt = seats.map(() => new Float64Array(EDITS_REMEMBERED));
  }

  async come(port: number): Promise<void> {
    const AT_ONCE = 50;
    for (let from = 0; from < this.#seats.length; from += AT_ONCE)
      await Promise.all(
        this.#seats.slice(from, from + AT_ONCE).map((seat, at) => this.#sit(port, seat, from + at))
      );
  }

  #sit(port: number, { room, token, key }: Seat, at: number): Promise<void> {
    const { url, hello, admitted, sync, update } = this.#protocol;
    const socket = new WebSocket(url(port, room), { headers: { authorization: `Bearer ${token}` } });
    const doc = new Y.Doc();
    const ratings = doc.getMap('ratings');
    let made: Uint8Array;
    doc.on('update', (fresh: Uint8Array) => (made = fresh));
    this.#sockets[at] = socket;
    this.#make[at] = (value) => {
      ratings.set(key, value);
      return update(room, made);
    };
    return new Promise((resolve, reject) => {
      socket.on('open', () => {
        const first = hello(room);
        if (first) socket.send(first);
      });
      let isIn = false;
      socket.on('message', (data: Buffer) => {
        if (isIn) return this.#hear(data, at);
        const admission = admitted(new Uint8Array(data));
        if (!admission) return;
        isIn = true;
        if (admission.clientId !== null) doc.clientID = admission.clientId;
        for (const frame of sync(room)) socket.send(frame);
        resolve();
      });
      socket.on('close', (code) => {
        this.closed++;
        reject(new Error(`The server closed a socket with ${code}.`));
      });
      socket.on('error', reject);
    });
  }

  /** What comes back to its author is no news. */
  #hear(data: Buffer, listener: number): void {
    for (let at = data.indexOf(MARK); at >= 0; at = data.indexOf(MARK, at + 9)) {
      const high = data[at + 4]!;
      const low = data.readUInt32BE(at + 5);
      const seat = (high << 4) | (low >>> 28);
      const edit = low & 0x0fffffff;
      if (seat === listener) continue;
      this.#times.push(performance.now() - this.#sentAt[seat]![edit % EDITS_REMEMBERED]!);
    }
  }

  /** Sends so many edits a second and takes the times of all but those of the first two seconds; `others` are who hears each. */
  async write(edits: Edit[], perSecond: number, others: number): Promise<Measured> {
    const WARM_SECONDS = 2;
    const measured = edits.slice(WARM_SECONDS * perSecond);
    await this.#send(edits.slice(0, WARM_SECONDS * perSecond), perSecond);
    this.#times = [];
    await this.#send(measured, perSecond);
    const sent = measured.length;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const times = this.#times.sort((a, b) => a - b);
    const quantile = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? NaN;
    return { sent, heard: times.length, due: sent * others, p50: quantile(0.5), p99: quantile(0.99) };
  }

  /**
   * Edits to be sent, by everybody in turn: made before, as pages make theirs on machines of their own. A step that is
   * prime to the number of seats puts neighbours in time into different rooms.
   */
  prepare(count: number): Edit[] {
    return Array.from({ length: count }, () => {
      const seat = (this.#made++ * 377) % this.#seats.length;
      const number = ++this.#edits[seat]!;
      return { seat, number, frame: this.#make[seat]!(marked(seat, number)) };
    });
  }

  async #send(edits: Edit[], perSecond: number): Promise<void> {
    const started = performance.now();
    let done = 0;
    while (done < edits.length) {
      const due = Math.min(edits.length, ((performance.now() - started) / 1_000) * perSecond);
      for (; done < due; done++) {
        const { seat, number, frame } = edits[done]!;
        this.#sentAt[seat]![number % EDITS_REMEMBERED] = performance.now();
        this.#sockets[seat]!.send(frame);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  leave(): void {
    for (const socket of this.#sockets) socket.terminate();
  }
}
