import { LiveRoom } from '$lib/live/room.svelte.ts';
import { call, Refusal } from '$lib/ui/api.ts';
import type { Ranking } from '$lib/wire/ranking';
import { along } from './along.svelte.ts';
import { readAll, within, type Waiting } from './store.ts';

const RETRY_MS = 5_000;
/** A line that is up and carries nothing is not waited for longer: what was said is sent another time. */
export const SEND_MS = 15_000;
/** How long a ballot may take to reach the server before its judgement is tried another time. */
const DELIVERY_MS = 10_000;

/** What was judged without a connection: kept on this device, and sent in order once there is one. */
class Outbox {
  all = $state.raw<readonly Waiting[]>([]);
  /** How many have gone out since this page was opened. */
  sent = $state(0);
  #user: string | null = null;
  #sending = false;

  /** Reads what of this person waits on this device. */
  async read(user: string): Promise<void> {
    this.#user = user;
    await this.#read();
  }

  /** Begins to send what waits; the answer stops. */
  open(): () => void {
    const online = () => void this.send();
    window.addEventListener('online', online);
    const timer = setInterval(online, RETRY_MS);
    online();
    return () => {
      window.removeEventListener('online', online);
      clearInterval(timer);
    };
  }

  async #read(): Promise<void> {
    const user = this.#user;
    if (user) this.all = await readAll(user, 'outbox').catch(() => this.all);
  }

  find(task: string): Waiting | null {
    return this.all.find((one) => one.task === task) ?? null;
  }

  /** Keeps a judgement; resolves when it is on the device, and rejects where the device does not keep it. */
  async add(waiting: Omit<Waiting, 'key'>): Promise<void> {
    await within(this.#user!, 'outbox', (store) => store.add(waiting));
    await this.#read();
  }

  /** Takes a judgement back that has not gone out; its ballot stays as it was. */
  async takeBack(task: string): Promise<void> {
    const found = this.find(task);
    if (!found) return;
    await within(this.#user!, 'outbox', (store) => store.delete(found.key!));
    await this.#read();
  }

  /** Sends what waits, oldest first, from one page at a time. */
  async send(): Promise<void> {
    const user = this.#user;
    if (!user || this.#sending || !this.all.some(({ refused }) => !refused)) return;
    this.#sending = true;
    try {
      await alone(`concord-outbox-${user}`, () => this.#sendAll(user));
    } catch {
      // It is tried again; what waits stays where it is.
    } finally {
      this.#sending = false;
      await this.#read();
    }
  }

  async #sendAll(user: string): Promise<void> {
    // Another page may have sent some of them meanwhile.
    for (const waiting of await readAll(user, 'outbox')) {
      if (waiting.refused) continue;
      const refused = await this.#sendOne(user, waiting);
      if (refused) await within(user, 'outbox', (store) => store.put({ ...waiting, refused }));
      else {
        await within(user, 'outbox', (store) => store.delete(waiting.key!));
        await along.done(waiting.task);
        this.sent++;
      }
      await this.#read();
    }
  }

  /** Why the server will not have it; null where it has it. Throws where that is not known. */
  async #sendOne(user: string, { task, ranking }: Waiting): Promise<string | null> {
    try {
      const signal = () => AbortSignal.timeout(SEND_MS);
      if (!ranking) await call(fetch, `/tasks/${task}/skip`, { method: 'POST', body: {}, signal: signal() });
      else {
        await deliver(task, user);
        const path = `/tasks/${task}/ranking`;
        await call<Ranking>(fetch, path, { method: 'PUT', body: ranking, signal: signal() });
      }
      return null;
    } catch (error) {
      const final = error instanceof Refusal && [400, 403, 404, 409, 422].includes(error.status);
      if (!final) throw error;
      return error.message;
    }
  }
}

/** First the ballot, as its pages left it: it is what a later correction begins from. */
async function deliver(task: string, user: string): Promise<void> {
  const room = new LiveRoom({ kind: 'ballot', task, user }, user);
  const leave = room.open();
  const arrived = await room.delivered(DELIVERY_MS);
  const { refusal } = room;
  leave();
  // A room that is shut to this person: their submission is refused too, with a reason.
  if (!arrived && refusal === null) throw new Error('The ballot has not arrived.');
}

/** Where the browser has no locks, two pages might both send: the second version says the same as the first. */
async function alone(name: string, work: () => Promise<void>): Promise<void> {
  if (!navigator.locks) return work();
  await navigator.locks.request(name, { ifAvailable: true }, (lock) => (lock ? work() : undefined));
}

export const outbox = new Outbox();
