import * as Y from 'yjs';
import { fold, newDocument } from '../../../server/rooms/document.ts';
import { pick, randomFrom } from '../scale.ts';
import { Clock } from './clock.ts';
import { SimulatedLine, type ClientEnd, type Weather } from './line.ts';
import { Device, SimulatedPage } from './page.ts';
import { SimulatedServer } from './server.ts';
import { Disk, type StoreBug } from './store.ts';

/** What goes wrong on purpose, in the test of the checks. */
export type Bug = StoreBug | 'a frame to a page is swallowed' | 'a page takes any word for saved';

const TASK = 'task';
const OUTPUTS = ['a', 'b', 'c', 'd'];
/** Long enough for every backoff, beat and idle room. */
const QUIET_MS = 180_000;

interface Seat {
  userId: string;
  room: string;
  device: Device;
  page: SimulatedPage | null;
}

/** What happened, for the failure's text and for the test that enough did. */
export interface Account {
  edits: number;
  saved: number;
  submitted: number;
  kills: number;
}

/**
 * A server, its disk and the pages of two to six people, with a network that delays, cuts, freezes and repeats, commits
 * that fail, and a process that is killed at any moment. The server's rooms and the page's line are the product's own;
 * sockets, disk and time are simulated. The same seed is the same story.
 */
export class World {
  readonly account: Account = { edits: 0, saved: 0, submitted: 0, kills: 0 };
  readonly #random: () => number;
  readonly #clock = new Clock();
  readonly #disk = new Disk(new Set(OUTPUTS));
  readonly #bug: Bug | null;
  readonly #seats: Seat[] = [];
  readonly #lines = new Set<SimulatedLine>();
  /** Pages that wait for the door to open; each can be told that nobody is there. */
  readonly #knocking = new Set<() => void>();
  #server: SimulatedServer | null = null;
  #storm = true;
  #faults: string[] = [];

  constructor(seed: number, bug: Bug | null = null) {
    this.#random = randomFrom(seed);
    this.#bug = bug;
    const people = 2 + Math.floor(this.#random() * 5);
    for (let n = 0; n < people; n++) {
      const userId = `user${n % Math.max(2, people - 1)}`;
      const device = new Device();
      this.#seats.push({ userId, room: `table/${TASK}`, device, page: null });
      this.#seats.push({ userId, room: `ballot/${TASK}/${userId}`, device, page: null });
    }
  }

  /** Lets so many things happen, then waits until it is quiet; the answer is what is wrong, nothing where all is well. */
  async run(operations: number): Promise<string[]> {
    this.#clock.install();
    try {
      this.#start();
      for (let n = 0; n < operations && !this.#faults.length; n++) {
        this.#happen();
        await this.#clock.pass(this.#random() ** 3 * 1_500);
      }
      if (!this.#faults.length) await this.#quiet();
    } finally {
      for (const { page } of this.#seats) page?.close();
      this.#server?.kill();
      await this.#clock.pass(0);
      this.#clock.restore();
    }
    return this.#faults;
  }

  /** The storm is over: everybody comes, and everything that was kept is delivered. */
  async #quiet(): Promise<void> {
    this.#storm = false;
    for (const line of this.#lines) line.cut();
    if (!this.#server) this.#start();
    for (const seat of this.#seats) this.#open(seat);
    await this.#clock.pass(QUIET_MS);
    this.#checkQuiet();
  }

  #happen(): void {
    const seat = pick(this.#random, this.#seats);
    const open = seat.page?.ready ? seat.page : null;
    const odds: [number, () => void][] = [
      [60, () => open && this.#edit(open)],
      [12, () => this.#open(seat)],
      [5, () => this.#close(seat)],
      [6, () => pick(this.#random, [...this.#lines])?.cut()],
      [3, () => pick(this.#random, [...this.#lines])?.freeze()],
      [4, () => open?.repeat()],
      [4, () => open?.hold(pick(this.#random, OUTPUTS))],
      [8, () => this.#submit(seat.userId)],
      [4, () => (this.#server ? this.#kill() : this.#start())]
    ];
    let at = this.#random() * odds.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, act] of odds) if ((at -= weight) < 0) return act();
  }

  #edit({ doc, ranks, note }: SimulatedPage): void {
    const place = Math.floor(this.#random() * (note.length + 1));
    const output = pick(this.#random, OUTPUTS);
    this.account.edits++;
    pick(this.#random, [
      () => ranks.set(output, this.#random()),
      () => ranks.delete(output),
      () => note.insert(place, pick(this.#random, ['x', 'mass ', '😀'])),
      () => note.delete(place, Math.min(3, note.length - place)),
      () =>
        doc.transact(() => {
          for (const one of OUTPUTS) ranks.set(one, this.#random());
          note.insert(0, 'y');
        })
    ])();
  }

  #open(seat: Seat): void {
    const { userId, room, device } = seat;
    seat.page ??= new SimulatedPage({
      ...{ userId, room, device },
      connect: (end) => this.#connect(seat, end),
      saysSaved: (page) => {
        this.account.saved++;
        this.#expectOnDisk(room, Y.encodeStateAsUpdate(page.doc), 'is told "saved" and is not on disk');
      },
      // The page's own edits may have waited for others'; those it knows without the disk.
      shows: (_, update) =>
        this.#expectOnDisk(room, update, 'is shown to others and is not on disk', device.of(room)),
      overhears: this.#bug === 'a page takes any word for saved'
    });
  }

  #close(seat: Seat): void {
    seat.page?.close();
    seat.page = null;
  }

  #connect({ room, userId }: Seat, end: ClientEnd) {
    let line: SimulatedLine | null = null;
    let over = false;
    const refuse = () => {
      if (this.#knocking.delete(refuse)) setTimeout(() => end.closed(1006, ''), this.#weather.delay());
    };
    this.#knocking.add(refuse);
    const come = () => {
      this.#knocking.delete(refuse);
      line = new SimulatedLine(end, this.#weather);
      this.#lines.add(line);
      if (over) line.leave();
      return line;
    };
    if (this.#server) this.#server.admit(room, userId, come).catch(refuse);
    else refuse();
    return {
      line: () => line,
      giveUp: () => {
        over = true;
        line?.leave();
      }
    };
  }

  readonly #weather: Weather = {
    delay: () => (this.#storm ? this.#random() ** 4 * 2_000 : 20),
    swallows: () => this.#bug === 'a frame to a page is swallowed' && this.#random() < 0.05
  };

  #start(): void {
    this.#server = new SimulatedServer(this.#disk, {
      random: this.#random,
      delay: () => (this.#storm ? this.#random() ** 3 * 400 : 5),
      outcome: () => {
        const at = this.#storm ? this.#random() : 1;
        return at < 0.03 ? 'lost' : at < 0.05 ? 'unknown' : 'committed';
      },
      bug: this.#bug as StoreBug
    });
  }

  #kill(): void {
    this.account.kills++;
    this.#server!.kill();
    this.#server = null;
    for (const refuse of this.#knocking) refuse();
    for (const line of this.#lines) if (!line.isOpen()) this.#lines.delete(line);
  }

  #submit(userId: string): void {
    const ranks = { [pick(this.#random, OUTPUTS)]: this.#random() };
    this.#server?.submit(TASK, userId, ranks).then(
      (seq) => {
        this.account.submitted++;
        const room = `ballot/${TASK}/${userId}`;
        if (!this.#disk.rankings.some((one) => one.room === room && one.seq === seq))
          this.#faults.push(`a submission of ${userId} is acknowledged and is not on disk`);
      },
      () => {}
    );
  }

  #expectOnDisk(room: string, update: Uint8Array, what: string, own: Iterable<Uint8Array> = []): void {
    const disk = newDocument(Y.encodeStateAsUpdate(this.#disk.fold(room)), ...own);
    disk.on('update', () => this.#faults.push(`an edit in ${room} ${what}`));
    Y.applyUpdate(disk, update);
    if (disk.store.pendingStructs) this.#faults.push(`an edit in ${room} ${what}`);
  }

  #checkQuiet(): void {
    for (const { room, userId, page } of this.#seats) {
      const where = `the page of ${userId} in ${room}`;
      if (page!.refused !== null) this.#faults.push(`${where} was turned away with ${page!.refused}`);
      if (!page!.saved) this.#faults.push(`${where} does not say "saved" after it has been quiet`);
      if (same(fold(page!.doc), fold(this.#disk.fold(room)))) continue;
      this.#faults.push(`${where} shows something else than the log`);
    }
    for (const { room, seq, folded } of this.#disk.rankings) {
      const rows = this.#disk.of(room).filter((row) => row.seq <= seq);
      if (!same(folded, fold(newDocument(...rows.map(({ bytes }) => bytes)))))
        this.#faults.push(`a submission in ${room} at ${seq} is not what the log says`);
    }
  }
}

/** Key order is no difference. */
const same = (a: unknown, b: unknown) => ordered(a) === ordered(b);
const ordered = (value: unknown) =>
  JSON.stringify(value, (_, part) =>
    part && typeof part === 'object' ? Object.fromEntries(Object.entries(part).sort()) : part
  );
