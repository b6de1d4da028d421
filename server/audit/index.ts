import { createHash } from 'node:crypto';
import { sql, type SQL } from 'drizzle-orm';
import { canonicalJson } from '#domain/canonical.ts';
import { auditRow } from './tables.ts';
import type { Actor } from '../auth/actor.ts';
import type { Queryable } from '../db/index.ts';

export interface AuditEntry {
  actor: Actor | 'system';
  /** `ranking.submit`, `dataset.freeze`: noun, then what was done. */
  action: string;
  object: string;
  projectId: string | null;
  /** Counts, hashes and ranges; never a task's text, never a secret. */
  facts: Record<string, unknown>;
}

const GENESIS = '0'.repeat(64);

/**
 * Adds a row to the chain inside the caller's transaction. Call it last: it locks the chain's head until commit, and
 * whatever ran after it would make every other writer wait.
 */
export async function appendAudit(tx: Queryable, entry: AuditEntry): Promise<void> {
  await tx.execute(sql`select ${auditCall(entry)}`);
}

/** The same as an expression, for a statement that does other work as well. */
export function auditCall({ actor, action, object, projectId, facts }: AuditEntry): SQL {
  const userId = actor === 'system' ? null : actor.id;
  const via = actor === 'system' ? 'system' : `${actor.via.kind}:${actor.via.id}`;
  // The canonical row without what only the database knows: time, hash of the row before and number.
  const canonical = [
    `{"action":${canonicalJson(action)},"at":"`,
    `","facts":${canonicalJson(facts)},"object":${canonicalJson(object)},"previousHash":"`,
    `","projectId":${canonicalJson(projectId)},"seq":`,
    `,"userId":${canonicalJson(userId)},"via":${canonicalJson(via)}}`
  ];
  return sql`append_audit(${userId}::text, ${via}::text, ${action}::text, ${object}::text, ${projectId}::text,
    ${JSON.stringify(facts)}::jsonb, ${sql.param(canonical)}::text[])`;
}

type Hashed = Omit<typeof auditRow.$inferSelect, 'hash'>;

function hashOf(row: Hashed): string {
  return createHash('sha256').update(canonicalJson(row)).digest('hex');
}

/** The first row that an edit, a gap or a reorder shows at; null where the chain is whole. */
export async function verifyAudit(db: Queryable): Promise<number | null> {
  let previousHash = GENESIS;
  let seq = 0;
  for (;;) {
    const rows = await db
      .select()
      .from(auditRow)
      .where(sql`${auditRow.seq} > ${seq}`)
      .orderBy(auditRow.seq)
      .limit(1_000);
    for (const { hash, ...row } of rows) {
      const read = { ...row, at: isoMicroseconds(row.at) };
      if (row.seq !== seq + 1 || row.previousHash !== previousHash || hashOf(read) !== hash) return seq + 1;
      previousHash = hash;
      seq = row.seq;
    }
    if (rows.length < 1_000) return null;
  }
}

/** PostgreSQL prints `2026-01-02 03:04:05.6+00`; the hash was taken over six decimals and a Z. */
function isoMicroseconds(text: string): string {
  const found = /^(\S+)[ T](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:\+00(?::?00)?|Z)$/.exec(text);
  if (!found) return text;
  return `${found[1]}T${found[2]}.${(found[3] ?? '').padEnd(6, '0')}Z`;
}
