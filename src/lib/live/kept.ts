import { BY_ROOM, done, openStore, within, type Along, type Edit } from '$lib/device/store.ts';

/** Edits of one room that the server does not have yet, kept on this device so that a reload loses none. */
export interface Kept {
  /** What earlier pages left undelivered. */
  left: Uint8Array[];
  /** False where this browser keeps nothing (a private window, a full disk): edits live as long as the tab. */
  works: boolean;
  add(update: Uint8Array): void;
  /** All that was added or found is on the server: nothing of it stays behind on the device. */
  delivered(): void;
  close(): void;
}

/**
 * Each page takes away only what it has delivered itself, so that two tabs with one room open do not take from each
 * other. `failed` is called when the device stops keeping: it is full, or the browser has cleared it.
 */
export async function keep(user: string, room: string, failed: () => void): Promise<Kept> {
  const kept: Kept = { left: [], works: false, add() {}, delivered() {}, close() {} };
  const db = await openStore(user).catch(() => null);
  if (!db) return kept;
  let known: IDBValidKey[] = [];
  /** Adding and taking away go one after the other, or what was just delivered could be written afterwards. */
  let line: Promise<unknown> = Promise.resolve();
  const inLine = (work: () => Promise<unknown>) => {
    line = line.then(work).catch(() => {
      kept.works = false;
      failed();
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
  const write = () => db.transaction('edits', 'readwrite').objectStore('edits');
  kept.works = true;
  kept.add = (update) =>
    inLine(async () => known.push(await done(write().add({ room, update } satisfies Edit))));
  kept.delivered = () => {
    inLine(async () => {
      const store = write();
      await Promise.all(known.splice(0).map((key) => done(store.delete(key))));
    });
  };
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
