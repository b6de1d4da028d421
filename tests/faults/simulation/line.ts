import { EventEmitter } from 'node:events';
import type { WebSocket as ServerSocket } from 'ws';

/** The two ends of a socket that lose, delay and cut as told, and never tell one end what the other knows. */
export interface Line {
  server: ServerSocket;
  /** Both ends notice, each in its own time; what was on the way is gone. */
  cut(): void;
  /** Nothing arrives any more, and nobody is told. */
  freeze(): void;
  isOpen(): boolean;
}

export interface ClientEnd {
  opened(): void;
  received(frame: Uint8Array): void;
  closed(code: number, reason: string): void;
}

export interface Weather {
  /** How long a frame is on its way. */
  delay(): number;
  /** Called for each frame to a page; true: it silently never arrives (a bug, for the test of a checker). */
  swallows?(frame: Uint8Array): boolean;
}

export class SimulatedLine implements Line {
  readonly server: ServerSocket;
  readonly #events = new EventEmitter();
  readonly #client: ClientEnd;
  readonly #weather: Weather;
  #open = true;
  #frozen = false;
  #due = { client: 0, server: 0 };

  constructor(client: ClientEnd, weather: Weather) {
    this.#client = client;
    this.#weather = weather;
    this.server = Object.assign(this.#events, {
      bufferedAmount: 0,
      send: (frame: Uint8Array) => this.#toClient(frame),
      close: (code: number, reason: string) => this.#end(code, reason),
      terminate: () => this.cut(),
      ping: () => this.#after('client', () => this.#after('server', () => this.#events.emit('pong')))
    }) as unknown as ServerSocket;
    this.#after('client', () => client.opened());
  }

  isOpen = () => this.#open;

  /** The page sends. */
  send(frame: Uint8Array): void {
    const copy = Buffer.from(frame);
    this.#after('server', () => this.#events.emit('message', copy, true));
  }

  /** The page closes, in order or because it is gone. */
  leave(): void {
    this.#end(1005, '');
  }

  cut(): void {
    this.#end(1006, '');
  }

  freeze(): void {
    this.#frozen = true;
  }

  #toClient(frame: Uint8Array): void {
    if (this.#weather.swallows?.(frame)) return;
    const copy = new Uint8Array(frame);
    this.#after('client', () => this.#client.received(copy));
  }

  #end(code: number, reason: string): void {
    if (!this.#open) return;
    const told = this.#frozen ? 1006 : code;
    this.#after('client', () => this.#client.closed(told, reason), true);
    this.#after('server', () => this.#events.emit('close', code), true);
    this.#open = false;
  }

  /** In order on each way, as TCP has it; across lines in any. */
  #after(end: 'client' | 'server', happen: () => void, evenWhenClosed = false): void {
    const now = performance.now();
    this.#due[end] = Math.max(this.#due[end], now + this.#weather.delay());
    setTimeout(() => {
      if (evenWhenClosed || (this.#open && !this.#frozen)) happen();
    }, this.#due[end] - now);
  }
}
