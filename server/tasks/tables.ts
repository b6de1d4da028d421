import { sql } from 'drizzle-orm';
import {
  boolean,
  doublePrecision,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  text,
  timestamp,
  uniqueIndex
} from 'drizzle-orm/pg-core';
import type { StrengthFit } from '#domain/bradley-terry.ts';
import type { Picked } from '#wire/pair.ts';
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
    /** Rankings by different people that reveal it, or revealed it; null: as many as the project says, of an open task for everybody. */
    overlap: integer(),
    /** Only members with this specialty are handed it; null: everybody is. */
    specialty: text(),
    /** Only those are handed it who have a lease that says so. */
    assigned: boolean().notNull().default(false),
    /** Some judgement of it is recorded, imported ones too: pairs are looked for nowhere else. */
    judged: boolean().notNull().default(false),
    importId: text('import_id').references(() => importRow.id),
    line: integer(),
    createdAt: at('created_at').notNull().defaultNow(),
    revealedAt: at('revealed_at')
  },
  (t) => [
    uniqueIndex('task_number').on(t.projectId, t.number),
    index('task_content').on(t.projectId, t.contentHash),
    index('task_status').on(t.projectId, t.status, t.number),
    index('task_specialty')
      .on(t.projectId, t.specialty, t.number)
      .where(sql`${t.specialty} is not null`),
    index('task_judged')
      .on(t.projectId, t.number)
      .where(sql`${t.judged}`)
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
    /** The task's, so that a person's leases are found and ordered without a look at a million tasks. */
    projectId: text('project_id').notNull(),
    number: integer().notNull(),
    expiresAt: at('expires_at').notNull(),
    skipped: boolean().notNull().default(false),
    skipReason: text('skip_reason'),
    version: integer().notNull().default(0),
    /** When they first ranked it; null where they have not, or took that back. */
    rankedAt: at('ranked_at'),
    /** The task was meant for this person before they were handed it. */
    assigned: boolean().notNull().default(false),
    /** The task is not revealed. */
    open: boolean().notNull().default(true),
    /** How many had been handed the task before: chooses the order in which this person reads its outputs. */
    seat: integer(),
    /** Why the task was chosen for this person when it was last handed to them; null: it was meant for them, or they opened it themselves. */
    picked: text().$type<Picked>(),
    updatedAt: at('updated_at').notNull().defaultNow()
  },
  (t) => [
    primaryKey({ columns: [t.taskId, t.userId] }),
    index('lease_user').on(t.userId),
    index('lease_judged')
      .on(t.projectId, t.userId, t.number, t.open)
      .where(sql`${t.version} > 0`),
    index('lease_ranked')
      .on(t.projectId, t.rankedAt, t.userId)
      .where(sql`${t.rankedAt} is not null`),
    index('lease_mine')
      .on(t.projectId, t.userId, t.number)
      .where(sql`${t.version} = 0 and ${t.open}`),
    index('lease_assigned')
      .on(t.projectId, t.userId, t.number)
      .where(sql`${t.assigned}`),
    index('lease_waiting')
      .on(t.projectId, t.number)
      .where(sql`${t.version} = 0 and ${t.open} and not ${t.assigned}`)
  ]
);

/**
 * Up to which task a person has been led: tasks before it that they could still be handed have a lease that came to nothing.
 * Nobody's search for the next task begins at the first of a million.
 */
export const queuePlace = pgTable(
  'queue_place',
  {
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' }),
    number: integer().notNull()
  },
  (t) => [primaryKey({ columns: [t.projectId, t.userId] })]
);

/** Of open tasks for everybody, in projects that hand out the most uncertain first; beside the task, so that a new value writes no text's index. */
export const taskUncertainty = pgTable(
  'task_uncertainty',
  {
    /** Without a foreign key, which would lock each of a million tasks. */
    taskId: text('task_id').primaryKey(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    number: integer().notNull(),
    value: doublePrecision().notNull()
  },
  (t) => [
    index('task_uncertainty_most').on(t.projectId, t.value.desc().nullsFirst(), t.number),
    index('task_uncertainty_number').on(t.projectId, t.number)
  ]
);

/** How close the project's current adapter finds the two best outputs of a task, for those open tasks that it has scored. */
export const taskMargin = pgTable(
  'task_margin',
  {
    /** Without a foreign key, as above. */
    taskId: text('task_id').primaryKey(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    /** Which scored it; all of a project's are of one, save for the moment in which it is replaced. */
    adapterId: text('adapter_id').notNull(),
    /** Null: it was looked at and cannot be scored. */
    margin: doublePrecision()
  },
  (t) => [index('task_margin_project').on(t.projectId)]
);

/** How strong a project's sources are, by the judgements that there were when it was last asked. */
export const strengthFit = pgTable('strength_fit', {
  projectId: text('project_id')
    .primaryKey()
    .references(() => project.id, { onDelete: 'cascade' }),
  fit: jsonb().$type<StrengthFit>().notNull(),
  /** That stood in the project then. */
  judgements: integer().notNull(),
  /** Tasks up to this number have a value by this fit: a server that was killed goes on there, and tasks that arrive come after it. */
  scoredTo: integer('scored_to').notNull().default(0)
});

/** Counts of a project's tasks that can be handed to the same people, kept by the transactions that change them. */
export const taskTally = pgTable(
  'task_tally',
  {
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    /** Empty: none is asked for. */
    specialty: text().notNull().default(''),
    assigned: boolean().notNull().default(false),
    total: integer().notNull().default(0),
    revealed: integer().notNull().default(0),
    /** Rankings by different people that would reveal them all, and that there are. */
    wanted: integer().notNull().default(0),
    ranked: integer().notNull().default(0),
    /** Judgements that stand: those rankings, imported ones, consensuses and adjudications. */
    judgements: integer().notNull().default(0)
  },
  (t) => [primaryKey({ columns: [t.projectId, t.specialty, t.assigned] })]
);
