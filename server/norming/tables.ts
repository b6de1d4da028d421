import { index, jsonb, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';
import type { Agreement, NormingStatus } from '#wire/norming.ts';
import { project, user } from '../auth/tables.ts';
import { task } from '../tasks/tables.ts';

const at = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' });

/** A panel that votes blind on the same tasks, talks, and votes again. Its agreement is kept as it was. */
export const normingSession = pgTable(
  'norming_session',
  {
    id: text().primaryKey(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    name: text().notNull(),
    status: text().$type<NormingStatus>().notNull(),
    createdBy: text('created_by')
      .notNull()
      .references(() => user.id),
    createdAt: at('created_at').notNull().defaultNow(),
    /** Over the versions submitted before each task's reveal. */
    first: jsonb().$type<Agreement | null>(),
    /** Over the versions that stood when it was closed. */
    second: jsonb().$type<Agreement | null>(),
    closedAt: at('closed_at')
  },
  (t) => [index('norming_project').on(t.projectId, t.createdAt)]
);

export const normingMember = pgTable(
  'norming_member',
  {
    sessionId: text('session_id')
      .notNull()
      .references(() => normingSession.id, { onDelete: 'cascade' }),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' })
  },
  (t) => [primaryKey({ columns: [t.sessionId, t.userId] }), index('norming_member_user').on(t.userId)]
);

export const normingTask = pgTable(
  'norming_task',
  {
    sessionId: text('session_id')
      .notNull()
      .references(() => normingSession.id, { onDelete: 'cascade' }),
    taskId: text('task_id')
      .notNull()
      .references(() => task.id, { onDelete: 'cascade' })
  },
  (t) => [primaryKey({ columns: [t.sessionId, t.taskId] }), index('norming_task_task').on(t.taskId)]
);
