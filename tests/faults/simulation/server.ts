import { createBallots } from '../../../server/rooms/ballots.ts';
import { Bucket } from '../../../server/rooms/bucket.ts';
import { createOpenRooms } from '../../../server/rooms/open.ts';
import { welcome } from '../../../server/rooms/welcome.ts';
import { parseRoom } from '../../../src/lib/wire/room.ts';
import type { Line } from './line.ts';
import { Access, type Disk, type StoreFaults } from './store.ts';

/** The rooms of one process, on a disk that outlives it. */
export class SimulatedServer {
  readonly #store: Access;
  readonly #open: ReturnType<typeof createOpenRooms>;
  readonly #ballots: ReturnType<typeof createBallots>;
  readonly #lines = new Set<Line>();
  readonly #disk: Disk;
  #dead = false;

  constructor(disk: Disk, faults: StoreFaults) {
    this.#disk = disk;
    this.#store = new Access(disk, faults);
    this.#open = createOpenRooms(this.#store);
    this.#ballots = createBallots(this.#store, this.#open);
  }

  /** What the door does for somebody who may come in; nothing comes of it where the process dies meanwhile. */
  async admit(room: string, userId: string, connect: () => Line): Promise<void> {
    const entered = await this.#open.enter(room);
    const [clientId] = await this.#store.issue(room, userId, 1);
    if (this.#dead) return;
    entered.clients.set(clientId!, userId);
    const line = connect();
    this.#lines.add(line);
    const actor = { id: userId, name: userId, email: '', instanceOwner: false };
    const visit = {
      actor: { ...actor, via: { kind: 'session' as const, id: userId } },
      room: entered,
      clientId: clientId!,
      work: new Bucket(1_000, 1_000),
      entry: {
        name: parseRoom(room)!,
        right: 'write' as const,
        role: 'reviewer' as const,
        projectId: 'project',
        outputs: this.#disk.outputs,
        presenceKeys: new Set(['output'])
      }
    };
    const trials = { run: async () => {}, close: async () => {} };
    try {
      welcome(line.server, visit, { open: this.#open, trials, onGone: () => this.#lines.delete(line) });
    } catch {
      this.#open.leave(entered);
      line.server.close(4529, 'Come back in a moment.');
    }
  }

  /** Submits what the ballot says, after the change; the answer is the row's place in the log. */
  submit(task: string, userId: string, tiers: Record<string, number>): Promise<number> {
    const change = { ranks: tiers, ratings: {}, note: '' };
    const room = `ballot/${task}/${userId}`;
    return this.#ballots.editBallot(task, userId, change, async (tx, { seq, ...folded }) => {
      (tx as unknown as unknown[]).push({ room, seq, folded });
      return seq;
    });
  }

  /** The process is killed: nothing it was about to do happens, and its sockets break. */
  kill(): void {
    this.#dead = true;
    this.#store.die();
    for (const line of this.#lines) line.cut();
  }
}
