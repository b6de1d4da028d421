import {
  bigint,
  boolean,
  index,
  integer,
  jsonb,
  pgTable,
  text,
  timestamp,
  uniqueIndex
} from 'drizzle-orm/pg-core';
import type {
  EditedOutput,
  QuotedSpan,
  RankingKind,
  Ratings,
  RecordedVerdict,
  Tiers
} from '#wire/ranking.ts';
import { user } from '../auth/tables.ts';
import { task } from '../tasks/tables.ts';

/** One version of one person's (or imported source's) judgement of a task. Versions are added, never changed. */
export const ranking = pgTable(
  'ranking',
  {
    id: text().primaryKey(),
    taskId: text('task_id')
      .notNull()
      .references(() => task.id, { onDelete: 'cascade' }),
    kind: text().$type<RankingKind>().notNull(),
    userId: text('user_id').references(() => user.id),
    /** The user's id, or the name of the imported source. */
    rater: text().notNull(),
    version: integer().notNull(),
    tiers: jsonb().$type<Tiers>().notNull(),
    verdict: text().$type<RecordedVerdict>().notNull(),
    reason: text(),
    ratings: jsonb().$type<Ratings>().notNull(),
    edited: jsonb().$type<EditedOutput | null>(),
    comment: text(),
    strength: integer(),
    spans: jsonb().$type<QuotedSpan[]>().notNull().default([]),
    /** The outputs in the order in which this person was shown them; null where it was imported. */
    shown: jsonb().$type<string[] | null>(),
    /** The version that this one takes back. */
    undoes: integer(),
    /** Last row of the ballot room's log that this version was folded from; null where it was imported. */
    roomSeq: bigint('room_seq', { mode: 'number' }),
    afterReveal: boolean('after_reveal').notNull().default(false),
    submittedAt: timestamp('submitted_at', { withTimezone: true, mode: 'date' }).notNull().defaultNow()
  },
  (t) => [
    uniqueIndex('ranking_version').on(t.taskId, t.kind, t.rater, t.version),
    index('ranking_user').on(t.userId)
  ]
);
