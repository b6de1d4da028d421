import { bigint, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';

/** Append-only; `hash` = sha256(previous hash ‖ canonical row), so that an edit, a gap or a reorder shows. */
export const auditRow = pgTable('audit_row', {
  seq: bigint({ mode: 'number' }).primaryKey(),
  at: timestamp({ withTimezone: true, mode: 'string' }).notNull(),
  userId: text('user_id'),
  /** `session:<id>`, `token:<id>` or `system`. */
  via: text().notNull(),
  action: text().notNull(),
  object: text().notNull(),
  projectId: text('project_id'),
  /** Facts of the change (counts, hashes, ranges): never text of a task, never a secret. */
  facts: jsonb().$type<Record<string, unknown>>().notNull(),
  previousHash: text('previous_hash').notNull(),
  hash: text().notNull()
});
