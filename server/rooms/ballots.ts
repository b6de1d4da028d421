import * as Y from 'yjs';
import { roomName } from '#wire/room.ts';
import type { Queryable } from '../db/index.ts';
import { Fault } from '../net/fault.ts';
import { fold, newDocument, write, type Folded } from './document.ts';
import type { OpenRooms } from './open.ts';
import type { Room } from './room.ts';
import type { RoomStore, StoreTransaction } from './store.ts';

/** Submissions: they change the ballot's document and write their own rows in one transaction. */
export function createBallots(store: RoomStore, open: OpenRooms) {
  const turns = new Map<string, Promise<unknown>>();

  /** One at a time in each room. */
  async function inTurn<R>(name: string, work: () => Promise<R>): Promise<R> {
    const before = turns.get(name) ?? Promise.resolve();
    const mine = before.then(work, work);
    const done: Promise<unknown> = mine.catch(() => {});
    turns.set(name, done);
    void done.then(() => {
      if (turns.get(name) === done) turns.delete(name);
    });
    return mine;
  }

  async function within<R>(name: string, work: (room: Room) => Promise<R>): Promise<R> {
    const room = await open.enter(name);
    try {
      return await work(room);
    } finally {
      open.leave(room);
    }
  }

  /** Has the room to itself, with everything that came before on disk. */
  async function reserve<R>(room: Room, work: () => Promise<R>): Promise<R> {
    room.reserved = true;
    try {
      await open.settled();
      if (room.dead) throw new Fault(503, 'come_back', 'The last edits could not be saved; send them again.');
      return await work();
    } catch (error) {
      // Whether a transaction that ended otherwise has committed is not known: only the log can tell.
      if (!(error instanceof Fault)) open.condemn(room);
      throw error;
    } finally {
      room.reserved = false;
      for (const connection of room.connections) connection.resume();
    }
  }

  return {
    /** Applies the change to the person's ballot room and runs `then` in the same transaction. */
    editBallot<R>(
      taskId: string,
      userId: string,
      change: Folded | null,
      then: (tx: Queryable, folded: Folded & { seq: number }) => Promise<R>
    ): Promise<R> {
      const name = roomName({ kind: 'ballot', task: taskId, user: userId });
      return inTurn(name, () =>
        within(name, (room) =>
          reserve(room, async () => {
            const draft = newDocument(Y.encodeStateAsUpdate(room.doc));
            const { update, result } = await store.transaction(async (tx) => {
              const update = change && (await edit(tx, room, draft, userId, change));
              const seq = room.seq + (update ? 1 : 0);
              const result = await then(tx.queryable, { ...fold(draft), seq });
              if (update) await tx.append([{ room: name, seq, userId, bytes: update }]);
              return { update, result };
            });
            if (update) room.adopt(update, draft.clientID, userId);
            draft.destroy();
            for (const connection of room.connections) connection.sendSaved();
            return result;
          })
        )
      );
    },

    foldTable: (taskId: string) =>
      within(roomName({ kind: 'table', task: taskId }), async (room) => fold(room.doc))
  };
}

/** Writes the change into the draft under a client id of its own; null where it changes nothing. */
async function edit(
  tx: StoreTransaction,
  room: Room,
  draft: Y.Doc,
  userId: string,
  change: Folded
): Promise<Uint8Array | null> {
  const [clientId] = await tx.issue(room.name, userId, 1);
  draft.clientID = clientId!;
  let changed: Uint8Array | null = null;
  const note = (update: Uint8Array) => (changed = update);
  draft.on('update', note);
  write(draft, change);
  draft.off('update', note);
  return changed;
}
