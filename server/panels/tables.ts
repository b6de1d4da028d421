import { foreignKey, index, integer, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';
import { user } from '../auth/tables.ts';
import { task } from '../tasks/tables.ts';

/** What was said at a task's table; never changed, and part of how its consensus came about. */
export const remark = pgTable(
  'remark',
  {
    taskId: text('task_id')
      .notNull()
      .references(() => task.id, { onDelete: 'cascade' }),
    /** Place in the discussion of its task, from 1. */
    number: integer().notNull(),
    userId: text('user_id')
      .notNull()
      .references(() => user.id),
    text: text().notNull(),
    sentAt: timestamp('sent_at', { withTimezone: true, mode: 'date' }).notNull().defaultNow()
  },
  (t) => [primaryKey({ columns: [t.taskId, t.number] })]
);

export const remarkMention = pgTable(
  'remark_mention',
  {
    taskId: text('task_id').notNull(),
    number: integer().notNull(),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' })
  },
  (t) => [
    primaryKey({ columns: [t.taskId, t.number, t.userId] }),
    index('remark_mention_user').on(t.userId),
    foreignKey({ columns: [t.taskId, t.number], foreignColumns: [remark.taskId, remark.number] }).onDelete(
      'cascade'
    )
  ]
);

/** How far a person has read the discussion of a task. */
export const remarkRead = pgTable(
  'remark_read',
  {
    taskId: text('task_id')
      .notNull()
      .references(() => task.id, { onDelete: 'cascade' }),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' }),
    number: integer().notNull()
  },
  (t) => [primaryKey({ columns: [t.taskId, t.userId] })]
);
