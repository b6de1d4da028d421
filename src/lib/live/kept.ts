import { BY_ROOM, done, openStore, within, write, type Along, type Edit } from '$lib/device/store.ts';

/** Edits of one room that the server does not have yet, kept on this device so that a reload loses none. */
export interface Kept {
  /** What earlier pages left undelivered. */
  left: Uint8Array[];
  /** False where this browser keeps nothing (a private window, a full disk): edits live as long as the tab. */
  works: boolean;
  /** Whether all that was added lies on the device: only then it may be said. */
  settled: boolean;
  add(update: Uint8Array): void;
  /** All that was added or found is on the server: nothing of it stays behind on the device. */
  delivered(): void;
  close(): void;
}

/**
 * Each page takes away only what it has delivered itself, so that two tabs with one room open do not take from each
 * other. `changed` is called when edits have come to lie on the device, and when it stops keeping: it is full, or the
 * browser has cleared it.
 */
export async function keep(user: string, room: string, changed: () => void): Promise<Kept> {
  const kept: Kept = { left: [], works: false, settled: true, add() {}, delivered() {}, close() {} };
  const db = await openStore(user).catch(() => null);
  if (!db) return kept;
  let known: IDBValidKey[] = [];
  /** Adding and taking away go one after the other, or what was just delivered could be written afterwards. */
  let line: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  const inLine = (work: () => Promise<unknown>) => {
    waiting++;
    kept.settled = false;
    line = line
      .then(work)
      .catch(() => (kept.works = false))
      .finally(() => {
        kept.settled = --waiting === 0;
        if (kept.settled) changed();
      });
  };
  try {
    const store = db.transaction('edits').objectStore('edits');
    const [left, keys] = await Promise.all([
      done<Edit[]>(store.index(BY_ROOM).getAll(room)),
      done(store.index(BY_ROOM).getAllKeys(room))
    ]);
    kept.left = left.map(({ update }) => update);
    known = keys;
  } catch {
    db.close();
    return kept;
  }
  kept.works = true;
  kept.add = (update) =>
    inLine(async () => {
      known.push(await write(db, 'edits', (store) => store.add({ room, update } satisfies Edit)));
    });
  kept.delivered = () =>
    inLine(() =>
      write(db, 'edits', (store) => Promise.all(known.splice(0).map((key) => done(store.delete(key)))))
    );
  kept.close = () => inLine(async () => db.close());
  return kept;
}

/** A client id for a page that cannot ask the server for one; each is used once. Null where none was taken along. */
export async function takeClient(user: string, task: string): Promise<number | null> {
  try {
    return await within(user, 'along', async (store) => {
      const along = await done(store.get(task) as IDBRequest<Along | undefined>);
      const [client, ...clients] = along?.clients ?? [];
      if (client === undefined) return null;
      store.put({ ...along!, clients });
      return client;
    });
  } catch {
    return null;
  }
}
