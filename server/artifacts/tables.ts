import { bigint, index, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core';
import type { AdapterFile } from '#wire/adapter.ts';
import { project } from '../auth/tables.ts';
import { model, run } from '../runs/tables.ts';

export const adapter = pgTable(
  'adapter',
  {
    id: text().primaryKey(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    runId: text('run_id')
      .notNull()
      .unique()
      .references(() => run.id),
    modelId: text('model_id')
      .notNull()
      .references(() => model.id),
    parentAdapterId: text('parent_adapter_id'),
    name: text().notNull(),
    files: jsonb().$type<AdapterFile[]>().notNull(),
    bytes: bigint({ mode: 'number' }).notNull(),
    createdAt: timestamp('created_at', { withTimezone: true, mode: 'date' }).notNull().defaultNow()
  },
  (t) => [index('adapter_project').on(t.projectId)]
);
