import type { SubmitRanking } from '$lib/wire/ranking';

/** An edit of a room that the server does not have yet. */
export interface Edit {
  room: string;
  update: Uint8Array;
}

/** What the API answered for a path, for a page that cannot ask it. */
export interface Answer {
  path: string;
  value: unknown;
}

/** A task that was taken along. */
export interface Along {
  task: string;
  number: number;
  project: string;
  /** To edit its ballot under without a connection: one for each page that does. */
  clients: number[];
  /** Nobody else is handed it before (ISO 8601). */
  until: string;
}

/** A judgement, or a skip, that waits for a connection. */
export interface Waiting {
  key?: number;
  task: string;
  number: number;
  project: string;
  /** Null: the task is skipped. */
  ranking: SubmitRanking | null;
  /** Why the server did not take it; it stays until its person takes it back. */
  refused?: string;
}

interface Stores {
  edits: Edit;
  answers: Answer;
  along: Along;
  outbox: Waiting;
}
export type StoreName = keyof Stores;

const NAMES: readonly StoreName[] = ['edits', 'answers', 'along', 'outbox'];
const VERSION = 2;
const OWNER = 'concord-owner';
export const BY_ROOM = 'room';

/** One database for each person: nobody else on this device finds anything of it under their own name. */
export function openStore(user: string): Promise<IDBDatabase> {
  const request = indexedDB.open(`concord-${user}`, VERSION);
  request.onupgradeneeded = () => {
    const db = request.result;
    const has = (name: StoreName) => db.objectStoreNames.contains(name);
    if (!has('edits')) db.createObjectStore('edits', { autoIncrement: true }).createIndex(BY_ROOM, 'room');
    if (!has('answers')) db.createObjectStore('answers', { keyPath: 'path' });
    if (!has('along')) db.createObjectStore('along', { keyPath: 'task' });
    if (!has('outbox')) db.createObjectStore('outbox', { keyPath: 'key', autoIncrement: true });
  };
  return done(request).then((db) => {
    // A page that is older than the next version must not keep that from opening.
    db.onversionchange = () => db.close();
    return db;
  });
}

export function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error('The store did not answer.'));
  });
}

function ended(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error('The store is full.'));
  });
}

type Work<T> = (store: IDBObjectStore) => IDBRequest<T> | Promise<T>;

/** Changes one store; resolves when that is on the device, not when it is under way, and rejects where it is not. */
export async function write<T>(
  db: IDBDatabase,
  name: StoreName,
  work: Work<T>,
  durability: IDBTransactionDurability = 'default'
): Promise<T> {
  const transaction = db.transaction(name, 'readwrite', { durability });
  const given = work(transaction.objectStore(name));
  const [value] = await Promise.all([given instanceof IDBRequest ? done(given) : given, ended(transaction)]);
  return value;
}

async function opened<T>(user: string, work: (db: IDBDatabase) => Promise<T>): Promise<T> {
  const db = await openStore(user);
  try {
    return await work(db);
  } finally {
    db.close();
  }
}

/** As `write`, on a person's database; a power cut takes nothing of it back. */
export const within = <T>(user: string, name: StoreName, work: Work<T>): Promise<T> =>
  opened(user, (db) => write(db, name, work, 'strict'));

const readonly = (db: IDBDatabase, name: StoreName) => db.transaction(name).objectStore(name);

export const readAll = <N extends StoreName>(user: string, name: N): Promise<Stores[N][]> =>
  opened(user, (db) => done(readonly(db, name).getAll() as IDBRequest<Stores[N][]>));

export const readOne = <N extends StoreName>(
  user: string,
  name: N,
  key: IDBValidKey
): Promise<Stores[N] | undefined> =>
  opened(user, (db) => done(readonly(db, name).get(key) as IDBRequest<Stores[N] | undefined>));

/** Whose store is asked while the server cannot say who is here; null: nobody has taken anything along. */
export const owner = {
  get: () => localStorage.getItem(OWNER),
  set: (user: string) => localStorage.setItem(OWNER, user),
  clear: () => localStorage.removeItem(OWNER)
};

/** In how many tasks this person did something on this device that the server does not have. */
export async function undelivered(user: string): Promise<number> {
  try {
    const [edits, waiting] = await Promise.all([readAll(user, 'edits'), readAll(user, 'outbox')]);
    const tasks = [...edits.map(({ room }) => room.split('/')[1]!), ...waiting.map(({ task }) => task)];
    return new Set(tasks).size;
  } catch {
    return 0;
  }
}

/** Leaves nothing of this person on the device; pages that are still open keep what they hold until they close. */
export async function erase(user: string): Promise<void> {
  if (owner.get() === user) owner.clear();
  for (const name of NAMES) await within(user, name, (store) => store.clear()).catch(() => {});
}
