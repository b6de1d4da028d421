import { and, asc, eq, isNull, sql } from 'drizzle-orm';
import { appendAudit } from '../audit/index.ts';
import { newId, type Database, type Queryable } from '../db/index.ts';
import { notFound } from '../net/fault.ts';
import type { Actor } from './actor.ts';
import { apiToken } from './tables.ts';
import { newSecret, secretHash } from './token.ts';

/** A token for the caller's own scripts; the secret is in the answer and nowhere else. */
export async function createToken(db: Database, actor: Actor, name: string, projectId: string | null) {
  return db.transaction(async (tx) => {
    const secret = newSecret();
    const id = newId('token');
    await tx.insert(apiToken).values({ id, hash: secretHash(secret), userId: actor.id, projectId, name });
    await appendAudit(tx, { actor, action: 'token.create', object: id, projectId, facts: {} });
    return { id, token: secret };
  });
}

export async function tokensOf(db: Queryable, actor: Actor) {
  const mine = and(eq(apiToken.userId, actor.id), isNull(apiToken.revokedAt));
  const rows = await db.select().from(apiToken).where(mine).orderBy(asc(apiToken.createdAt));
  return rows.map((row) => ({
    id: row.id,
    name: row.name,
    project: row.projectId,
    created_at: row.createdAt.toISOString(),
    last_used_at: row.lastUsedAt?.toISOString() ?? null
  }));
}

export async function revokeToken(db: Database, actor: Actor, id: string): Promise<void> {
  await db.transaction(async (tx) => {
    const mine = and(eq(apiToken.id, id), eq(apiToken.userId, actor.id), isNull(apiToken.revokedAt));
    const { rowCount } = await tx
      .update(apiToken)
      .set({ revokedAt: sql`now()` })
      .where(mine);
    if (!rowCount) throw notFound('token');
    await appendAudit(tx, { actor, action: 'token.revoke', object: id, projectId: null, facts: {} });
  });
}
