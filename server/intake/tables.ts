import { bigint, index, integer, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import type { ImportStatus, Mapping } from '#wire/import.ts';
import { project, user } from '../auth/tables.ts';

const at = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' });

export const importRow = pgTable(
  'import',
  {
    id: text().primaryKey(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    createdBy: text('created_by').references(() => user.id),
    status: text().$type<ImportStatus>().notNull(),
    contentType: text('content_type').notNull(),
    gzip: integer().notNull().default(0),
    duplicatesKept: integer('duplicates_kept').notNull().default(0),
    mapping: jsonb().$type<Mapping | null>(),
    bytes: bigint({ mode: 'number' }).notNull().default(0),
    sha256: text(),
    rowsRead: integer('rows_read').notNull().default(0),
    rowsAccepted: integer('rows_accepted').notNull().default(0),
    rowsRejected: integer('rows_rejected').notNull().default(0),
    duplicates: integer().notNull().default(0),
    /** Rows of the file that are already committed: where a restarted server goes on. */
    cursor: integer().notNull().default(0),
    failure: text(),
    heartbeatAt: at('heartbeat_at'),
    createdAt: at('created_at').notNull().defaultNow(),
    endedAt: at('ended_at')
  },
  (t) => [index('import_project').on(t.projectId)]
);

export const importError = pgTable(
  'import_error',
  {
    importId: text('import_id')
      .notNull()
      .references(() => importRow.id, { onDelete: 'cascade' }),
    line: integer().notNull(),
    code: text().notNull(),
    detail: text().notNull()
  },
  (t) => [index('import_error_import').on(t.importId, t.line)]
);
