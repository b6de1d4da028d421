import { randomInt } from 'node:crypto';
import { eq } from 'drizzle-orm';
import type { Queryable } from '../db/index.ts';
import { roomClient } from './tables.ts';

const CLIENT_ID_MAX = 2 ** 32;

/** A client id that nobody has had in this room; on disk before it is handed out, or a restart would forget whose it is. */
export async function issueClients(
  db: Queryable,
  room: string,
  userId: string,
  count: number
): Promise<number[]> {
  const issued: number[] = [];
  while (issued.length < count) {
    const wanted = Array.from({ length: count - issued.length }, () => randomInt(1, CLIENT_ID_MAX));
    const rows = await db
      .insert(roomClient)
      .values(wanted.map((clientId) => ({ room, clientId, userId })))
      .onConflictDoNothing()
      .returning({ clientId: roomClient.clientId });
    issued.push(...rows.map(({ clientId }) => clientId));
  }
  return issued;
}

/** Whose each client id of a room is. */
export async function clientsOf(db: Queryable, room: string): Promise<Map<number, string>> {
  const rows = await db
    .select({ clientId: roomClient.clientId, userId: roomClient.userId })
    .from(roomClient)
    .where(eq(roomClient.room, room));
  return new Map(rows.map(({ clientId, userId }) => [clientId, userId]));
}
