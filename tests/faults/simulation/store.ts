import * as Y from 'yjs';
import type { Queryable } from '../../../server/db/index.ts';
import type { Row } from '../../../server/rooms/log.ts';
import type { RoomStore, StoreTransaction } from '../../../server/rooms/store.ts';

export interface RankingRow {
  room: string;
  seq: number;
  folded: unknown;
}

/** What goes wrong on purpose in the test of a checker; the product has none of these. */
export type StoreBug = 'says committed before it is' | 'loses a row' | 'keeps the ranking and loses its edit';

export interface StoreFaults {
  random(): number;
  /** How long a commit or a read takes. */
  delay(): number;
  /** `lost`: nothing is written, and that is said; `unknown`: written, but the answer gets lost. */
  outcome(): 'committed' | 'lost' | 'unknown';
  bug?: StoreBug;
}

/** A disk: what is on it outlives every process that wrote to it. */
export class Disk {
  readonly rows: Row[] = [];
  readonly rankings: RankingRow[] = [];
  readonly clients = new Map<string, Map<number, string>>();
  /** Each room as folded from its log so far. */
  readonly folded = new Map<string, Y.Doc>();
  readonly outputs: ReadonlySet<string>;

  constructor(outputs: ReadonlySet<string>) {
    this.outputs = outputs;
  }

  fold(room: string): Y.Doc {
    const known = this.folded.get(room);
    if (known) return known;
    const doc = new Y.Doc();
    this.folded.set(room, doc);
    return doc;
  }

  of(room: string): Row[] {
    return this.rows.filter((row) => row.room === room);
  }

  /** All or nothing, and no number twice, as the table's primary key has it. */
  write(rows: Row[]): void {
    for (const { room, seq } of rows)
      if (this.rows.some((row) => row.room === room && row.seq === seq))
        throw new Error(`Row ${seq} of ${room} is there already.`);
    for (const row of rows) {
      this.rows.push(row);
      Y.applyUpdate(this.fold(row.room), row.bytes);
    }
  }
}

/** One process's way to the disk: once the process has died, nothing answers it any more. */
export class Access implements RoomStore {
  #dead = false;
  readonly #inFlight = new Set<() => void>();
  readonly #disk: Disk;
  readonly #faults: StoreFaults;

  constructor(disk: Disk, faults: StoreFaults) {
    this.#disk = disk;
    this.#faults = faults;
  }

  /** The process is killed. What is on its way to the disk arrives or does not. */
  die(): void {
    this.#dead = true;
    for (const arrive of this.#inFlight) if (this.#faults.random() < 0.5) arrive();
    this.#inFlight.clear();
  }

  async load(room: string) {
    await this.#wait();
    const rows = this.#disk.of(room).sort((a, b) => a.seq - b.seq);
    return {
      updates: rows.map(({ bytes }) => bytes),
      lastSeq: rows.at(-1)?.seq ?? 0,
      clients: new Map(this.#disk.clients.get(room)),
      outputs: room.startsWith('lobby/') ? new Set<string>() : this.#disk.outputs
    };
  }

  append(rows: Row[]): Promise<void> {
    const { bug, random } = this.#faults;
    if (bug === 'says committed before it is') {
      void this.#commit(() => this.#disk.write(rows)).catch(() => {});
      return Promise.resolve();
    }
    const kept = bug === 'loses a row' && random() < 0.1 ? rows.slice(1) : rows;
    return this.#commit(() => this.#disk.write(kept));
  }

  async issue(room: string, userId: string, count: number): Promise<number[]> {
    await this.#wait();
    return this.#issue(room, userId, count);
  }

  async transaction<R>(work: (tx: StoreTransaction) => Promise<R>): Promise<R> {
    const rows: Row[] = [];
    const rankings: RankingRow[] = [];
    const result = await work({
      queryable: rankings as unknown as Queryable,
      append: async (given) => void rows.push(...given),
      issue: async (room, userId, count) => this.#issue(room, userId, count)
    });
    const loses = this.#faults.bug === 'keeps the ranking and loses its edit';
    await this.#commit(() => {
      this.#disk.write(loses ? [] : rows);
      this.#disk.rankings.push(...rankings);
    });
    return result;
  }

  #issue(room: string, userId: string, count: number): number[] {
    const clients = this.#disk.clients.get(room) ?? new Map<number, string>();
    this.#disk.clients.set(room, clients);
    const ids: number[] = [];
    while (ids.length < count) {
      const id = 1 + Math.floor(this.#faults.random() * (2 ** 32 - 1));
      if (clients.has(id)) continue;
      clients.set(id, userId);
      ids.push(id);
    }
    return ids;
  }

  async #commit(write: () => void): Promise<void> {
    const outcome = this.#faults.outcome();
    let arrived = false;
    const arrive = () => {
      if (!arrived) write();
      arrived = true;
    };
    if (outcome !== 'lost') this.#inFlight.add(arrive);
    await this.#wait();
    this.#inFlight.delete(arrive);
    if (outcome !== 'lost') arrive();
    if (outcome !== 'committed') throw new Error(`The commit is ${outcome}.`);
    await this.#wait();
  }

  /** Never ends for a process that has died. */
  #wait(): Promise<void> {
    return new Promise((resolve) => setTimeout(() => !this.#dead && resolve(), this.#faults.delay()));
  }
}
