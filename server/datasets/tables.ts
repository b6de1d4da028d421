import { index, integer, jsonb, pgTable, primaryKey, real, text, timestamp } from 'drizzle-orm/pg-core';
import type { DatasetCounts, DatasetPolicy, Split } from '#wire/dataset.ts';
import { project, user } from '../auth/tables.ts';

/** An immutable version: rows are written with it in one transaction and never again. */
export const dataset = pgTable(
  'dataset',
  {
    id: text().primaryKey(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    name: text().notNull(),
    policy: text().$type<DatasetPolicy>().notNull(),
    evalFraction: real('eval_fraction').notNull(),
    seed: integer().notNull(),
    sha256: text().notNull(),
    counts: jsonb().$type<DatasetCounts>().notNull(),
    createdBy: text('created_by').references(() => user.id),
    createdAt: timestamp('created_at', { withTimezone: true, mode: 'date' }).notNull().defaultNow()
  },
  (t) => [index('dataset_project').on(t.projectId)]
);

/** One line of the canonical JSON-lines export, exactly as it was hashed. */
export const datasetRow = pgTable(
  'dataset_row',
  {
    datasetId: text('dataset_id')
      .notNull()
      .references(() => dataset.id, { onDelete: 'cascade' }),
    seq: integer().notNull(),
    split: text().$type<Split>().notNull(),
    line: text().notNull()
  },
  (t) => [primaryKey({ columns: [t.datasetId, t.seq] })]
);
