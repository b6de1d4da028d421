import { tiersFromRanks } from '$lib/domain/tiers';
import { along } from '$lib/device/along.svelte.ts';
import { outbox, SEND_MS } from '$lib/device/outbox.svelte.ts';
import { LiveRoom } from '$lib/live/room.svelte.ts';
import { isOpen, together } from '$lib/live/saved.ts';
import { call, Refusal } from '$lib/ui/api.ts';
import { shows } from '$lib/ui/roles.ts';
import type { Me } from '$lib/wire/me';
import type { Project } from '$lib/wire/project';
import type { Ranking, SubmitRanking, Verdict } from '$lib/wire/ranking';
import type { Task } from '$lib/wire/task';
import { Board } from './board.svelte.ts';
import type { Commands } from './keys.ts';

/** What became of a judgement: the server has it, or this device keeps it until the server does. */
export type Handed = 'sent' | 'kept';

export type Mode = 'mine' | 'together';

/** How long a submission waits for the last moves to be on disk. */
const SAVED_MS = 4_000;

/** One task on one person's screen: their ballot, the table where they may see it, and what they do with it. */
export class Session {
  readonly task: Task;
  readonly project: Project;
  /** In the order of their letters. */
  readonly outputs: readonly string[];
  /** In the order in which this person reads them. */
  readonly shown: readonly string[];
  readonly mine: Board | null;
  readonly shared: Board | null;
  mode = $state<Mode>('mine');
  selected = $state('');
  /** Words that differ from the selected output are marked in the others. */
  marking = $state(false);
  busy = $state(false);
  /** What was refused, until the next try. */
  problem = $state.raw<unknown>(null);

  constructor(task: Task, project: Project, me: Me) {
    this.task = task;
    this.project = project;
    this.outputs = task.outputs.map(({ id }) => id);
    this.shown = task.shown_order ?? this.outputs;
    const user = me.user.id;
    const board = (room: LiveRoom) => new Board(room, this.outputs);
    this.mine = shows.judging(project.role)
      ? board(new LiveRoom({ kind: 'ballot', task: task.id, user }, user))
      : null;
    this.shared = seesTable(task, project)
      ? board(new LiveRoom({ kind: 'table', task: task.id }, user))
      : null;
    this.mode = this.mine ? 'mine' : 'together';
    this.selected = this.shown[0] ?? '';
  }

  /** Which of two is better: asked as such, not as a ranking. */
  get isPair(): boolean {
    return this.outputs.length === 2;
  }

  /** Criteria are asked for too, so that one press cannot say all. */
  get needsMore(): boolean {
    return this.project.criteria.length > 0;
  }

  board = $derived.by(() => (this.mode === 'mine' ? this.mine : this.shared));
  rooms = $derived.by(() => [this.mine, this.shared].flatMap((board) => (board ? [board.room] : [])));
  saved = $derived.by(() => together(this.rooms.map(({ saved }) => saved)));
  unsaved = $derived.by(() => this.rooms.some(({ saved }) => isOpen(saved)));
  refusal = $derived.by(() => this.rooms.find(({ refusal }) => refusal !== null)?.refusal ?? null);
  /** The task has its rankings, and none of them is this person's. */
  full = $derived.by(() => this.task.rankings >= this.task.overlap && this.task.my_version === 0);

  #entered: { room: LiveRoom; leave: () => void }[] = [];

  /** Nothing here waits for this person: they have judged the task, or it has its rankings. */
  behind = $derived.by(() => this.full || this.task.my_version > 0);

  /** Enters the rooms; the answer leaves them. */
  open(): () => void {
    for (const room of this.rooms) this.#enter(room);
    return () => this.leave();
  }

  /** Enters the person's own room ahead of time: what they do in their first moment here counts. Others do not see it. */
  warm(): void {
    if (this.mine) this.#enter(this.mine.room);
  }

  #enter(room: LiveRoom): void {
    this.#leaving = false;
    if (!this.#entered.some((one) => one.room === room)) this.#entered.push({ room, leave: room.open() });
  }

  /** Leaves the rooms once what is on its way has arrived. */
  leave(): void {
    if (this.busy) this.#leaving = true;
    else this.#leaveNow();
  }

  #leaving = false;

  #leaveNow(): void {
    for (const { leave } of this.#entered.splice(0)) leave();
  }

  textOf(output: string): string {
    return this.task.outputs.find(({ id }) => id === output)?.text ?? '';
  }

  switchTo(mode: Mode): void {
    if (mode === 'mine' ? this.mine : this.shared) this.mode = mode;
  }

  /** Moves by key; placing goes on to the next output that has no place. */
  readonly moves: Pick<Commands, 'place' | 'remove' | 'select' | 'step' | 'undo' | 'switchBoard'> = {
    place: (place) => {
      this.board?.toggle(this.selected, place);
      if (this.board?.placeOf(this.selected) === place) this.#goOn();
    },
    remove: () => this.board?.drop(this.selected, 'tray'),
    select: (step) => {
      const at = this.shown.indexOf(this.selected) + step;
      this.selected = this.shown[Math.min(this.shown.length - 1, Math.max(0, at))] ?? '';
    },
    step: (direction) => this.board?.step(this.selected, direction),
    undo: () => this.board?.undo(),
    switchBoard: () => this.switchTo(this.mode === 'mine' ? 'together' : 'mine')
  };

  #goOn(): void {
    const at = this.shown.indexOf(this.selected);
    const after = [...this.shown.slice(at + 1), ...this.shown.slice(0, at)];
    this.selected = after.find((output) => this.board!.placeOf(output) === null) ?? this.selected;
  }

  /** Submits the ballot as it is on disk, or keeps the judgement on this device where there is no connection; null where neither was possible. */
  submit(verdict: Verdict, reason = ''): Promise<Handed | null> {
    const { room } = this.mine!;
    return this.#attempt(async () => {
      // A judgement that waits already is followed by this one, not overtaken.
      if (room.isAlone || this.waiting) return this.#keep(this.#judgement(verdict, reason));
      const isDelivered = await room.delivered(SAVED_MS);
      const body = this.#judgement(verdict, reason);
      if (!isDelivered && room.isAlone) return this.#keep(body);
      if (!isDelivered) throw new NotSaved();
      const path = `/tasks/${this.task.id}/ranking`;
      return this.#send((signal) => call(fetch, path, { method: 'PUT', body, signal }), body);
    });
  }

  #judgement(verdict: Verdict, reason: string): SubmitRanking {
    const { room } = this.mine!;
    return {
      verdict,
      tiers: verdict === 'ranked' ? tiersFromRanks(room.ranks) : [],
      ratings: { ...room.ratings },
      comment: room.note.toString(),
      ...this.#beside(verdict),
      ...(this.task.shown_order ? { shown_order: [...this.shown] } : {}),
      ...(reason ? { reason } : {})
    };
  }

  async #send(send: (signal: AbortSignal) => Promise<unknown>, body: SubmitRanking | null): Promise<Handed> {
    try {
      await send(AbortSignal.timeout(SEND_MS));
    } catch (error) {
      if (error instanceof Refusal && error.status === 0) return this.#keep(body);
      throw error;
    }
    await along.done(this.task.id);
    return 'sent';
  }

  async #keep(ranking: SubmitRanking | null): Promise<Handed> {
    const { id, number, project } = this.task;
    await outbox.takeBack(id);
    await outbox.add({ task: id, number, project, ranking });
    return 'kept';
  }

  /** What waits on this device to be sent for this task. */
  waiting = $derived.by(() => outbox.find(this.task.id));

  /** What goes with a verdict: an edit, remarks, and of two outputs how much better one is. */
  #beside(verdict: Verdict): Partial<SubmitRanking> {
    const { draft, ranks } = this.mine!.room;
    const edited = draft.result((output) => this.textOf(output));
    const spans = draft.remarks.map(({ output, start, end, category, text }) => ({
      ...{ output, start, end, category, text }
    }));
    const says = this.isPair && verdict === 'ranked' && tiersFromRanks(ranks).length === 2;
    return {
      ...(edited ? { edited } : {}),
      ...(spans.length ? { spans } : {}),
      ...(says && draft.strength !== null ? { strength: draft.strength } : {})
    };
  }

  /** Whether there is anything that has not been submitted and could be thrown away. */
  drafted = $derived.by(() => {
    if (!this.mine || this.task.my_version > 0) return false;
    const { ranks, ratings, draft, noted } = this.mine.room;
    const written = noted || draft.editing !== null || draft.remarks.length > 0;
    return written || Object.keys(ranks).length > 0 || Object.keys(ratings).length > 0;
  });

  /** Makes what stands on the table the consensus; null where that was refused. */
  async consensus(): Promise<Ranking | null> {
    let made: Ranking | null = null;
    await this.#attempt(async () => {
      if (!(await this.shared!.room.delivered(SAVED_MS))) throw new NotSaved();
      made = await call<Ranking>(fetch, `/tasks/${this.task.id}/consensus`, { method: 'POST' });
    });
    return made;
  }

  unskip(): Promise<void> {
    return this.#takeBack(() => call(fetch, `/tasks/${this.task.id}/skip`, { method: 'DELETE' }));
  }

  /** Takes the submission back: from this device, or where it has gone out already from the server. */
  withdraw(): Promise<void> {
    return this.#takeBack(() => call(fetch, `/tasks/${this.task.id}/ranking/undo`, { method: 'POST' }));
  }

  #takeBack(sent: () => Promise<void>): Promise<void> {
    return outbox.find(this.task.id) ? outbox.takeBack(this.task.id) : sent();
  }

  skip(): Promise<Handed | null> {
    const path = `/tasks/${this.task.id}/skip`;
    const send = (signal: AbortSignal) => call(fetch, path, { method: 'POST', body: {}, signal });
    return this.#attempt(() => this.#send(send, null));
  }

  async #attempt<T>(work: () => Promise<T>): Promise<T | null> {
    if (this.busy) return null;
    this.busy = true;
    this.problem = null;
    try {
      return await work();
    } catch (error) {
      this.problem = error;
      return null;
    } finally {
      this.busy = false;
      if (this.#leaving) this.#leaveNow();
    }
  }
}

/** The server does not have the last moves; submitting now would submit what it has. */
export class NotSaved extends Error {}

/** In an open project from the start, else after the reveal, for reviewers who judged the task. */
function seesTable(task: Task, { review, role }: Project): boolean {
  if (review.mode === 'open') return true;
  return task.status === 'revealed' && (role !== 'reviewer' || task.my_version > 0);
}
