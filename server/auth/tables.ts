import {
  boolean,
  date,
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
import { SPAN_CATEGORIES } from '#wire/categories.ts';
import { RANDOM_SHARE } from '#wire/review.ts';
import type { Criterion, ProjectMode, Role, TaskOrder } from '#wire/project.ts';

const at = (name: string) => timestamp(name, { withTimezone: true, mode: 'date' });

// user, session, account and verification have the columns that better-auth asks for.
export const user = pgTable('user', {
  id: text().primaryKey(),
  name: text().notNull(),
  email: text().notNull().unique(),
  emailVerified: boolean('email_verified').notNull().default(false),
  image: text(),
  /** May make projects and register base models: the first account, and the bootstrap token's owner. */
  instanceOwner: boolean('instance_owner').notNull().default(false),
  createdAt: at('created_at').notNull().defaultNow(),
  updatedAt: at('updated_at').notNull().defaultNow()
});

export const session = pgTable(
  'session',
  {
    id: text().primaryKey(),
    token: text().notNull().unique(),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' }),
    expiresAt: at('expires_at').notNull(),
    ipAddress: text('ip_address'),
    userAgent: text('user_agent'),
    createdAt: at('created_at').notNull().defaultNow(),
    updatedAt: at('updated_at').notNull().defaultNow()
  },
  (t) => [index('session_user').on(t.userId)]
);

export const account = pgTable(
  'account',
  {
    id: text().primaryKey(),
    accountId: text('account_id').notNull(),
    providerId: text('provider_id').notNull(),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' }),
    accessToken: text('access_token'),
    refreshToken: text('refresh_token'),
    idToken: text('id_token'),
    accessTokenExpiresAt: at('access_token_expires_at'),
    refreshTokenExpiresAt: at('refresh_token_expires_at'),
    scope: text(),
    password: text(),
    createdAt: at('created_at').notNull().defaultNow(),
    updatedAt: at('updated_at').notNull().defaultNow()
  },
  (t) => [index('account_user').on(t.userId)]
);

export const verification = pgTable('verification', {
  id: text().primaryKey(),
  identifier: text().notNull(),
  value: text().notNull(),
  expiresAt: at('expires_at').notNull(),
  createdAt: at('created_at').notNull().defaultNow(),
  updatedAt: at('updated_at').notNull().defaultNow()
});

export const project = pgTable('project', {
  id: text().primaryKey(),
  name: text().notNull(),
  guidelines: text().notNull().default(''),
  mode: text().$type<ProjectMode>().notNull(),
  /** Rankings by different people that reveal a task without an overlap of its own. */
  overlap: integer().notNull().default(1),
  criteria: jsonb().$type<Criterion[]>().notNull(),
  strength: boolean().notNull().default(false),
  /** By when all rankings are wanted. */
  dueOn: date('due_on', { mode: 'string' }),
  spanCategories: jsonb('span_categories').$type<string[]>().notNull().default(SPAN_CATEGORIES),
  taskOrder: text('task_order').$type<TaskOrder>().notNull().default('arrival'),
  randomShare: doublePrecision('random_share').notNull().default(RANDOM_SHARE),
  createdBy: text('created_by').references(() => user.id),
  createdAt: at('created_at').notNull().defaultNow()
});

/** Guidelines as they stood before each change. */
export const guidelinesPast = pgTable(
  'guidelines_past',
  {
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    text: text().notNull(),
    /** When they were replaced, and by whom. */
    replacedAt: at('replaced_at').notNull().defaultNow(),
    userId: text('user_id').references(() => user.id)
  },
  (t) => [index('guidelines_past_project').on(t.projectId, t.replacedAt)]
);

export const member = pgTable(
  'member',
  {
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' }),
    role: text().$type<Role>().notNull(),
    /** Tasks that name a specialty are for members who have it. */
    specialties: text().array().notNull().default([]),
    /** Tasks that this person means to judge in a day. */
    goal: integer(),
    createdAt: at('created_at').notNull().defaultNow()
  },
  (t) => [primaryKey({ columns: [t.projectId, t.userId] }), index('member_user').on(t.userId)]
);

export const apiToken = pgTable(
  'api_token',
  {
    id: text().primaryKey(),
    /** SHA-256 of the secret, hex; the secret itself is shown once and kept nowhere. */
    hash: text().notNull(),
    userId: text('user_id')
      .notNull()
      .references(() => user.id, { onDelete: 'cascade' }),
    /** The only project it works in; null: every project of its user. */
    projectId: text('project_id').references(() => project.id, { onDelete: 'cascade' }),
    name: text().notNull(),
    issuedBy: text('issued_by').references(() => user.id),
    createdAt: at('created_at').notNull().defaultNow(),
    lastUsedAt: at('last_used_at'),
    revokedAt: at('revoked_at')
  },
  (t) => [uniqueIndex('api_token_hash').on(t.hash)]
);

export const invitation = pgTable(
  'invitation',
  {
    id: text().primaryKey(),
    hash: text().notNull(),
    email: text().notNull(),
    projectId: text('project_id')
      .notNull()
      .references(() => project.id, { onDelete: 'cascade' }),
    role: text().$type<Role>().notNull(),
    invitedBy: text('invited_by').references(() => user.id),
    createdAt: at('created_at').notNull().defaultNow(),
    expiresAt: at('expires_at').notNull(),
    acceptedAt: at('accepted_at')
  },
  (t) => [uniqueIndex('invitation_hash').on(t.hash), index('invitation_email').on(t.email)]
);
