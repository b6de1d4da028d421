import { bigint, index, integer, jsonb, pgTable, primaryKey, text, timestamp } from 'drizzle-orm/pg-core';
import type { ModelFacts } from '#wire/model.ts';
import type { Hyperparameters, Objective, RunMetrics, RunStatus } from '#wire/run.ts';
import { project, user } from '../auth/tables.ts';
import { dataset } from '../datasets/tables.ts';

const at = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' });

export const model = pgTable('model', {
  id: text().primaryKey(),
  name: text().notNull(),
  /** Relative to the models folder, never outside it; `demo` is the base that comes with the repository. */
  path: text().notNull().unique(),
  facts: jsonb().$type<ModelFacts>().notNull(),
  sha256: text().notNull(),
  createdBy: text('created_by').references(() => user.id),
  createdAt: at('created_at').notNull().defaultNow()
});

export const run = pgTable(
  'run',
  {
    id: text().primaryKey(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    name: text().notNull(),
    datasetId: text('dataset_id')
      .notNull()
      .references(() => dataset.id),
    modelId: text('model_id')
      .notNull()
      .references(() => model.id),
    parentAdapterId: text('parent_adapter_id'),
    objective: text().$type<Objective>().notNull(),
    hyperparameters: jsonb().$type<Hyperparameters>().notNull(),
    status: text().$type<RunStatus>().notNull(),
    step: integer().notNull().default(0),
    maxSteps: integer('max_steps'),
    metrics: jsonb().$type<RunMetrics>().notNull(),
    error: text(),
    /** The trainer's process and its start time in the kernel's clock: a pid alone may have been reused. */
    pid: integer(),
    pidStart: text('pid_start'),
    attempt: integer().notNull().default(0),
    /** Bytes of the attempt's events.jsonl that have been taken in. */
    cursor: bigint({ mode: 'number' }).notNull().default(0),
    heartbeatAt: at('heartbeat_at'),
    cancelRequestedAt: at('cancel_requested_at'),
    createdBy: text('created_by').references(() => user.id),
    createdAt: at('created_at').notNull().defaultNow(),
    startedAt: at('started_at'),
    endedAt: at('ended_at')
  },
  (t) => [index('run_project').on(t.projectId), index('run_status').on(t.status)]
);

export const runEvent = pgTable(
  'run_event',
  {
    runId: text('run_id')
      .notNull()
      .references(() => run.id, { onDelete: 'cascade' }),
    seq: integer().notNull(),
    attempt: integer().notNull(),
    event: jsonb().$type<Record<string, unknown>>().notNull(),
    at: at('at').notNull().defaultNow()
  },
  (t) => [primaryKey({ columns: [t.runId, t.seq] })]
);
