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

/** All people's ends of a server, in this process: they write, hear what others wrote, and take the time of it. */
export class Crowd {
  readonly #protocol: Protocol;
  readonly #seats: Seat[];
  readonly #sockets: WebSocket[] = [];
  readonly #write: ((value: number) => void)[] = [];
  readonly #edits: number[];
  readonly #sentAt: Float64Array[];
  #times: number[] = [];
  #sent = 0;
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
    doc.on('update', (made: Uint8Array) => socket.send(update(room, made)));
    this.#sockets[at] = socket;
    this.#write[at] = (value) => ratings.set(key, value);
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

  /** So many edits a second, by everybody in turn, for so long; `others` are who hears each. */
  async write(perSecond: number, seconds: number, others: number): Promise<Measured> {
    await this.#writeFor(perSecond, 2);
    this.#times = [];
    this.#sent = 0;
    await this.#writeFor(perSecond, seconds);
    const sent = this.#sent;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const times = this.#times.sort((a, b) => a - b);
    const quantile = (q: number) => times[Math.min(times.length - 1, Math.floor(times.length * q))] ?? NaN;
    return { sent, heard: times.length, due: sent * others, p50: quantile(0.5), p99: quantile(0.99) };
  }

  async #writeFor(perSecond: number, seconds: number): Promise<void> {
    const started = performance.now();
    let done = 0;
    const all = perSecond * seconds;
    while (done < all) {
      const due = Math.min(all, ((performance.now() - started) / 1_000) * perSecond);
      for (; done < due; done++) this.#edit();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** A step that is prime to the number of seats: neighbours in time are in different rooms. */
  #edit(): void {
    const seat = (this.#sent++ * 377) % this.#seats.length;
    const edit = ++this.#edits[seat]!;
    this.#sentAt[seat]![edit % EDITS_REMEMBERED] = performance.now();
    this.#write[seat]!(marked(seat, edit));
  }

  leave(): void {
    for (const socket of this.#sockets) socket.terminate();
  }
}
