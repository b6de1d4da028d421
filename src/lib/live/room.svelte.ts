import * as Y from 'yjs';
import { roomName, type Room as RoomAddress } from '$lib/wire/room';
import type { Ratings, Strength } from '$lib/wire/ranking';
import { Deliveries } from './deliveries.ts';
import { Draft } from './draft.svelte.ts';
import { keep, takeClient, type Kept } from './kept.ts';
import { Hearers, type Heard } from './heard.ts';
import { openLine, type Line } from './line.ts';
import { others, type Here } from './people.ts';
import type { Saved } from './saved.ts';

const PARTS = [
  (doc: Y.Doc) => doc.getMap<unknown>('ranks'),
  (doc: Y.Doc) => doc.getMap<unknown>('ratings'),
  (doc: Y.Doc) => doc.getMap<unknown>('strength'),
  (doc: Y.Doc) => doc.getMap<unknown>('editing'),
  (doc: Y.Doc) => doc.getMap<unknown>('spans'),
  (doc: Y.Doc) => doc.getText('edited'),
  (doc: Y.Doc) => doc.getText('note')
];

/** How long a page waits for the server before it goes on with what was taken along. */
const PATIENCE_MS = 1_500;

/** The browser's half of a ballot or a table: its document, whether it is saved, and who else is here. */
export class LiveRoom {
  ranks = $state.raw<Readonly<Record<string, number>>>({});
  ratings = $state.raw<Readonly<Ratings>>({});
  /** Whether the note says anything. */
  noted = $state(false);
  people = $state.raw<Here[]>([]);
  saved = $state<Saved>('connecting');
  /** Whether there is a move of one's own to take back. */
  undoable = $state(false);
  /** Editing is possible: the server's state is here, and an id to edit under. */
  ready = $state(false);
  /** Why the server closed the door for good; null while it is open. */
  refusal = $state<string | null>(null);

  readonly doc = new Y.Doc();
  readonly #ranks = this.doc.getMap<number>('ranks');
  readonly #ratings = this.doc.getMap<Ratings[string]>('ratings');
  readonly note = this.doc.getText('note');
  /** Marks what this page does itself, which is what its undo takes back. */
  readonly origin = Symbol('mine');
  readonly #undo = new Y.UndoManager([this.#ranks, this.#ratings, this.doc.getMap('strength')], {
    // eslint-disable-next-line svelte/prefer-svelte-reactivity -- read by Yjs alone
    trackedOrigins: new Set([this.origin]),
    captureTimeout: 0
  });
  readonly draft = new Draft(this.doc, this.origin);
  readonly #discarding = Symbol('discarding');
  readonly #discarded = new Y.UndoManager(
    PARTS.map((part) => part(this.doc)),
    {
      // eslint-disable-next-line svelte/prefer-svelte-reactivity -- read by Yjs alone
      trackedOrigins: new Set([this.#discarding]),
      captureTimeout: 0
    }
  );
  readonly #deliveries = new Deliveries();
  #line: Line | null = null;
  #kept: Kept | null = null;
  #connected: boolean | null = null;
  #closed = false;
  #alone: ReturnType<typeof setTimeout> | undefined;
  #waiting: (() => void)[] = [];
  readonly #hearers = new Hearers();

  readonly #address: RoomAddress;
  readonly #user: string;

  constructor(address: RoomAddress, user: string) {
    this.#address = address;
    this.#user = user;
    this.#ranks.observe(() => (this.ranks = this.#ranks.toJSON()));
    this.note.observe(() => (this.noted = this.note.length > 0));
    this.#ratings.observe(() => (this.ratings = this.#ratings.toJSON()));
    for (const change of ['stack-item-added', 'stack-item-popped', 'stack-cleared'] as const)
      this.#undo.on(change, () => (this.undoable = this.#undo.undoStack.length > 0));
  }

  /** Hears what the server tells beside the document; the answer stops that. */
  hear(hearer: Heard): () => void {
    return this.#hearers.add(hearer);
  }

  /** Connects, after what an earlier page left undelivered has been taken in; the answer leaves the room. */
  open(): () => void {
    void this.#begin();
    return () => this.#close();
  }

  async #begin(): Promise<void> {
    const room = roomName(this.#address);
    this.#kept = await keep(this.#user, room, () => this.#look());
    if (this.#closed) return this.#kept.close();
    for (const update of this.#kept.left) {
      for (const client of Y.parseUpdateMeta(update).to.keys()) this.#deliveries.owns(client);
      Y.applyUpdate(this.doc, update, this.#kept);
    }
    // Heard before the line hears of the same edit and sends it.
    this.doc.on('update', (update: Uint8Array, origin: unknown) => {
      if (origin === this.#line?.provider || origin === this.#kept) return;
      this.#deliveries.edited();
      this.#kept?.add(update);
      this.#look();
    });
    let admitted = false;
    this.#alone = setTimeout(() => void this.#goAlone(), navigator.onLine ? PATIENCE_MS : 0);
    this.#line = openLine(room, this.doc, this.#deliveries, {
      admitted: () => (admitted = true),
      synced: () => {
        clearTimeout(this.#alone);
        this.ready = admitted && this.refusal === null;
        this.#look();
        this.#hearers.each((one) => one.synced?.());
      },
      delivered: () => this.#look(),
      news: (news) => this.#hearers.each((one) => one.news?.(news)),
      connected: (connected) => {
        this.#connected = connected || (this.#connected === null ? null : false);
        this.#look();
      },
      refused: (_, reason) => {
        this.refusal = reason;
        this.ready = false;
        this.#look();
      }
    });
    this.#tell();
    const { awareness } = this.#line.provider;
    awareness.on('change', () => (this.people = others(awareness.getStates(), this.doc.clientID)));
  }

  /** Goes on without a connection, under an id that was taken along; what the server has comes to it later. */
  async #goAlone(): Promise<void> {
    if (this.#address.kind !== 'ballot') return;
    const client = await takeClient(this.#user, this.#address.task);
    if (client === null || this.ready || this.#closed) return;
    this.#line!.adopt(client);
    this.#connected ??= false;
    this.ready = true;
    this.#look();
  }

  #look(): void {
    this.saved = this.#state();
    if (this.saved !== 'saved') return;
    this.#kept?.delivered();
    for (const told of this.#waiting.splice(0)) told();
  }

  #state(): Saved {
    if (this.refusal !== null) return 'refused';
    if (this.#connected === null) return 'connecting';
    if (!this.#connected) return !this.#kept?.works ? 'tab' : this.#kept.settled ? 'offline' : 'saving';
    return this.#deliveries.covers(Y.decodeStateVector(Y.encodeStateVector(this.doc))) ? 'saved' : 'saving';
  }

  /** Nobody hears what is done here now, and this device keeps it. */
  get isAlone(): boolean {
    return this.#connected === false && this.refusal === null && this.#kept?.works === true;
  }

  /** Resolves true once everything done here is on disk; false where that did not happen in time. */
  delivered(milliseconds: number): Promise<boolean> {
    if (this.saved === 'saved') return Promise.resolve(true);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), milliseconds);
      this.#waiting.push(() => {
        clearTimeout(timer);
        resolve(true);
      });
    });
  }

  /** Writes one rank; null takes the output out of the ranking. No other key changes. */
  rank(output: string, number: number | null): void {
    if (!this.ready || (this.ranks[output] ?? null) === number) return;
    this.doc.transact(() => {
      if (number === null) this.#ranks.delete(output);
      else this.#ranks.set(output, number);
    }, this.origin);
  }

  /** Writes who is better of two, null for neither, and by how much, in one move. */
  compare([a, b]: readonly [string, string], better: string | null, strength: Strength | null): void {
    if (!this.ready) return;
    this.doc.transact(() => {
      for (const output of [a, b]) {
        const rank = better === null || output === better ? 1 : 2;
        if (this.#ranks.get(output) !== rank) this.#ranks.set(output, rank);
      }
      this.draft.setStrength(strength);
    }, this.origin);
  }

  /** Writes one rating; null takes it back. */
  rate(key: string, value: Ratings[string] | null): void {
    if (!this.ready) return;
    this.doc.transact(() => {
      if (value === null) this.#ratings.delete(key);
      else this.#ratings.set(key, value);
    }, this.origin);
  }

  undo(): void {
    if (this.ready) this.#undo.undo();
  }

  /** Empties the document, in one move that `restore` takes back. */
  discard(): void {
    if (!this.ready) return;
    this.doc.transact(() => {
      for (const part of PARTS.map((part) => part(this.doc)))
        if (part instanceof Y.Map) part.clear();
        else part.delete(0, part.length);
    }, this.#discarding);
  }

  restore(): void {
    if (this.ready) this.#discarded.undo();
  }

  #at: string | null = null;
  #held: string | null = null;

  /** Tells the others at the table which output is in hand. */
  hold(output: string | null): void {
    this.#held = output;
    this.#tell();
  }

  /** Tells the others at the table which output is looked at. */
  point(output: string | null): void {
    if (this.#at === output) return;
    this.#at = output;
    this.#tell();
  }

  #tell(): void {
    const [output, at] = [this.#held, this.#at];
    this.#line?.say({ ...(output ? { output } : {}), ...(at ? { at } : {}) });
  }

  #close(): void {
    this.#closed = true;
    clearTimeout(this.#alone);
    this.#line?.close();
    this.#kept?.close();
    this.#undo.destroy();
    this.#discarded.destroy();
    this.doc.destroy();
  }
}
