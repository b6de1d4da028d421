import {
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex
} from 'drizzle-orm/pg-core';
import type { Message, TaskStatus } from '#wire/task.ts';
import { project, user } from '../auth/tables.ts';
import { importRow } from '../intake/tables.ts';

const at = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' });

export const task = pgTable(
  'task',
  {
    id: text().primaryKey(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    /** Place in the project, from 1, in order of arrival. */
    number: integer().notNull(),
    prompt: jsonb().$type<Message[]>().notNull(),
    /** SHA-256 of the canonical prompt: datasets split by it. */
    promptHash: text('prompt_hash').notNull(),
    /** SHA-256 of prompt, outputs and imported votes: finds rows that stand twice. */
    contentHash: text('content_hash').notNull(),
    metadata: jsonb().$type<Record<string, unknown> | null>(),
    status: text().$type<TaskStatus>().notNull(),
    /** People who have ranked it; kept here so that handing out the next task needs no other room's table. */
    raters: integer().notNull().default(0),
    importId: text('import_id').references(() => importRow.id),
    line: integer(),
    createdAt: at('created_at').notNull().defaultNow(),
    revealedAt: at('revealed_at')
  },
  (t) => [
    uniqueIndex('task_number').on(t.projectId, t.number),
    index('task_content').on(t.projectId, t.contentHash),
    index('task_status').on(t.projectId, t.status, t.number)
  ]
);

export const output = pgTable(
  'output',
  {
    id: text().primaryKey(),
    taskId: text('task_id')
      .notNull()
      .references(() => task.id, { onDelete: 'cascade' }),
    position: integer().notNull(),
    text: text().notNull(),
    source: text()
  },
  (t) => [uniqueIndex('output_position').on(t.taskId, t.position)]
);

/** Who has been given which task, and what became of it: skipped, or ranked (their last version, 0 before). */
export const lease = pgTable(
  'lease',
  {
    taskId: text('task_id')
      .notNull()
      .references(() => task.id, { onDelete: 'cascade' }),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' }),
    expiresAt: at('expires_at').notNull(),
    skipped: boolean().notNull().default(false),
    skipReason: text('skip_reason'),
    version: integer().notNull().default(0),
    /** How many had been handed the task before: chooses the order in which this person reads its outputs. */
    seat: integer(),
    updatedAt: at('updated_at').notNull().defaultNow()
  },
  (t) => [primaryKey({ columns: [t.taskId, t.userId] }), index('lease_user').on(t.userId)]
);
