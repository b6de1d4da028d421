import { call } from '$lib/ui/api.ts';
import type { Discussion as Page, Person, Remark } from '$lib/wire/remark';
import { mentionedIn } from './mentions.ts';

/** Above this the page asks again: the server answers so many remarks at once. */
const PAGE = 200;

/** What is said at one table, on one person's screen. */
export class Discussion {
  remarks = $state.raw<readonly Remark[]>([]);
  people = $state.raw<readonly Person[]>([]);
  /** The last remark that this person has read. */
  read = $state(0);
  /** Where "new" begins: stays while the page is open, so that the mark does not vanish under the reader's eyes. */
  readonly newFrom: number;
  draft = $state('');
  sending = $state(false);
  problem = $state.raw<unknown>(null);

  readonly task: string;
  readonly #me: string;
  #reading = Promise.resolve();

  constructor(task: string, me: string, first: Page) {
    this.task = task;
    this.#me = me;
    this.remarks = first.items;
    this.people = first.people;
    this.read = first.read;
    this.newFrom = first.read + 1;
  }

  last = $derived.by(() => this.remarks.at(-1)?.number ?? 0);
  unread = $derived.by(
    () => this.remarks.filter(({ number, author }) => number > this.read && author.id !== this.#me).length
  );

  /** A remark that the server told of; one that came out of turn makes the page read what it missed. */
  take(remark: Remark): void {
    if (remark.number <= this.last) return;
    if (remark.number > this.last + 1) return void this.catchUp();
    this.remarks = [...this.remarks, remark];
  }

  /** Reads what was said since the last remark that is here. */
  async catchUp(): Promise<void> {
    const path = `/tasks/${this.task}/remarks`;
    for (let more = true; more;) {
      const query = { cursor: String(this.last), limit: PAGE };
      const page = await call<Page>(fetch, path, { query }).catch(() => null);
      for (const remark of page?.items ?? []) if (remark.number === this.last + 1) this.take(remark);
      if (page) this.people = page.people;
      more = page?.next_cursor != null;
    }
  }

  /** Takes up what an earlier load of this page left unsent. */
  resume(): void {
    this.draft = sessionStorage.getItem(this.#kept) ?? '';
  }

  /** What is being written outlives a reload of the page, in this tab alone. */
  write(text: string): void {
    this.draft = text;
    if (text) sessionStorage.setItem(this.#kept, text);
    else sessionStorage.removeItem(this.#kept);
  }

  /** Sends the draft; one that was not taken stays where it was written. */
  async send(): Promise<void> {
    const text = this.draft.trim();
    if (!text || this.sending) return;
    this.sending = true;
    this.problem = null;
    try {
      const body = { text, mentions: mentionedIn(text, this.people) };
      const sent = await call<Remark>(fetch, `/tasks/${this.task}/remarks`, { method: 'POST', body });
      this.write('');
      this.take(sent);
    } catch (error) {
      this.problem = error;
    } finally {
      this.sending = false;
    }
  }

  /** All that is here was seen. */
  markRead(): void {
    if (this.read >= this.last) return;
    const number = (this.read = this.last);
    const sending = { method: 'PUT', body: { number } } as const;
    // A mark that did not arrive is made up for by the next one.
    this.#reading = this.#reading.then(() =>
      call<void>(fetch, `/tasks/${this.task}/remarks/read`, sending).catch(() => {})
    );
  }

  /** Resolves once the server knows how far was read. */
  marked(): Promise<void> {
    return this.#reading;
  }

  get #kept(): string {
    return `remark/${this.#me}/${this.task}`;
  }
}
