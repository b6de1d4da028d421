import { meanTiers } from '$lib/domain/splits';
import { ranksFromTiers, tiersFromRanks } from '$lib/domain/tiers';
import { LiveRoom } from '$lib/live/room.svelte.ts';
import { Board } from '$lib/review/board.svelte.ts';
import { call } from '$lib/ui/api.ts';
import type { Project } from '$lib/wire/project';
import type { Ranking, Tiers } from '$lib/wire/ranking';
import type { Task } from '$lib/wire/task';

/** How long a consensus waits for the last moves to be on disk. */
const SAVED_MS = 4_000;

/** Whether a task's table is open to this person: in an open project always, else after the reveal, for reviewers who judged it. */
export function isOpen(
  task: Pick<Task, 'status' | 'my_version'>,
  { review, role }: Pick<Project, 'review' | 'role'>
) {
  if (review.mode === 'open') return true;
  return task.status === 'revealed' && (role !== 'reviewer' || task.my_version > 0);
}

/** The consensus of one task as it is made: everybody at the table moves the same cards. */
export class Consensus {
  readonly board: Board;
  readonly room: LiveRoom;
  selected = $state('');
  busy = $state(false);
  problem = $state.raw<unknown>(null);
  readonly #task: string;

  constructor(task: Task, user: string) {
    this.#task = task.id;
    this.room = new LiveRoom({ kind: 'table', task: task.id }, user);
    this.board = new Board(
      this.room,
      task.outputs.map(({ id }) => id)
    );
    this.selected = this.board.outputs[0] ?? '';
  }

  tiers = $derived.by((): Tiers => tiersFromRanks({ ...this.room.ranks }));

  /** Whether what lies on the table is what was decided. */
  isSame(decided: Ranking | null): boolean {
    return decided !== null && JSON.stringify(decided.tiers) === JSON.stringify(this.tiers);
  }

  place(place: number): void {
    this.board.toggle(this.selected, place);
  }

  select(step: -1 | 1): void {
    const { outputs } = this.board;
    const at = outputs.indexOf(this.selected) + step;
    this.selected = outputs[Math.min(outputs.length - 1, Math.max(0, at))] ?? '';
  }

  /** Lays out the mean of the rankings, as one move that can be taken back; two who do it at once lay out the same. */
  startFrom(rankings: readonly Tiers[]): void {
    const ranks = ranksFromTiers(meanTiers(rankings, this.board.outputs));
    this.room.doc.transact(() => {
      for (const [output, rank] of Object.entries(ranks)) this.room.rank(output, rank);
    }, this.room.origin);
  }

  /** Makes what stands on the table, as it is on disk, the consensus; null where that was refused. */
  async make(): Promise<Ranking | null> {
    if (this.busy || !this.board.placed || !this.room.ready) return null;
    this.busy = true;
    this.problem = null;
    try {
      if (!(await this.room.delivered(SAVED_MS))) throw new NotSaved();
      return await call<Ranking>(fetch, `/tasks/${this.#task}/consensus`, { method: 'POST' });
    } catch (error) {
      this.problem = error;
      return null;
    } finally {
      this.busy = false;
    }
  }
}

/** The server does not have the last moves; a consensus made now would be without them. */
export class NotSaved extends Error {}
