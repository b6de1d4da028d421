const EDITS = 'edits';
const BY_ROOM = 'room';

interface Edit {
  room: string;
  update: Uint8Array;
}

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
 * One database for each person: nobody else on this device finds anything of it under their own name. Each page takes
 * away only what it has delivered itself, so that two tabs with one room open do not take from each other.
 */
export async function keep(user: string, room: string): Promise<Kept> {
  const kept: Kept = { left: [], works: false, add() {}, delivered() {}, close() {} };
  const db = await open(`concord-${user}`).catch(() => null);
  if (!db) return kept;
  let known: IDBValidKey[] = [];
  /** Adding and taking away go one after the other, or what was just delivered could be written afterwards. */
  let line: Promise<unknown> = Promise.resolve();
  const inLine = (work: () => Promise<unknown>) => {
    line = line.then(work).catch(() => (kept.works = false));
  };
  try {
    const store = db.transaction(EDITS).objectStore(EDITS);
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
  const write = () => db.transaction(EDITS, 'readwrite').objectStore(EDITS);
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

/** How many rooms have edits of this person on this device that the server does not have. */
export async function undelivered(user: string): Promise<number> {
  const db = await open(`concord-${user}`).catch(() => null);
  if (!db) return 0;
  const edits = await done<Edit[]>(db.transaction(EDITS).objectStore(EDITS).getAll());
  db.close();
  return new Set(edits.map(({ room }) => room)).size;
}

/** Leaves nothing of this person on the device; pages that are still open keep what they hold until they close. */
export async function erase(user: string): Promise<void> {
  const db = await open(`concord-${user}`).catch(() => null);
  if (!db) return;
  await done(db.transaction(EDITS, 'readwrite').objectStore(EDITS).clear());
  db.close();
}

function open(name: string): Promise<IDBDatabase> {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () =>
    request.result.createObjectStore(EDITS, { autoIncrement: true }).createIndex(BY_ROOM, 'room');
  return done(request);
}

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('The store did not answer.'));
  });
}
