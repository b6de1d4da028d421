import { z } from 'zod';
import { SPAN_CATEGORIES } from './categories.ts';
import { OVERLAP_MAX, RANDOM_SHARE } from './review.ts';
import { SPECIALTIES_MAX, SPECIALTY_LENGTH_MAX, specialtyOf } from './specialty.ts';

export const Role = z.enum(['owner', 'engineer', 'adjudicator', 'reviewer', 'viewer']);
export type Role = z.infer<typeof Role>;
export const ProjectMode = z.enum(['blind', 'open']);
export type ProjectMode = z.infer<typeof ProjectMode>;
/** In which tasks are handed out: by number, or the most uncertain first (`src/lib/domain/uncertainty.ts`). */
export const TaskOrder = z.enum(['arrival', 'uncertainty']);
export type TaskOrder = z.infer<typeof TaskOrder>;
/** Of the tasks handed out where the most uncertain come first: how many are drawn at random instead. */
export const RandomShare = z.number().min(0).max(1);
export const Scale = z.enum(['yes_no', 'likert5', 'acceptability']);

export const Criterion = z.object({
  id: z.string().regex(/^[a-z][a-z0-9_]{0,39}$/),
  label: z.string().trim().min(1).max(120),
  scale: Scale
});
export type Criterion = z.infer<typeof Criterion>;

/** Rankings by different people that reveal a task. */
const Overlap = z.number().int().min(1).max(OVERLAP_MAX);

/** Kinds of remarks on a stretch of an output, in the project's own words. */
export const SpanCategories = z.array(z.string().trim().min(1).max(60)).max(20);

export const NewProject = z.strictObject({
  name: z.string().trim().min(1).max(120),
  guidelines: z.string().max(100_000).default(''),
  review: z.strictObject({
    mode: ProjectMode,
    overlap: Overlap,
    /** Where two outputs are compared, it is also asked how much better one is. */
    strength: z.boolean().default(false),
    order: TaskOrder.default('arrival'),
    random_share: RandomShare.default(RANDOM_SHARE)
  }),
  criteria: z.array(Criterion).max(20),
  span_categories: SpanCategories.default(SPAN_CATEGORIES)
});

export const Project = z.object({
  id: z.string(),
  name: z.string(),
  guidelines: z.string(),
  review: z.object({
    mode: ProjectMode,
    overlap: z.number().int(),
    strength: z.boolean(),
    /** By when all rankings are wanted. */
    due_on: z.iso.date().nullable(),
    order: TaskOrder,
    random_share: z.number()
  }),
  criteria: z.array(Criterion),
  span_categories: z.array(z.string()),
  role: Role,
  created_at: z.string()
});
export type Project = z.infer<typeof Project>;

/** What an owner may change later. Blindness and criteria stand: what was judged under them would mean something else. */
export const ChangeProject = z.strictObject({
  name: NewProject.shape.name.optional(),
  guidelines: z.string().max(100_000).optional(),
  span_categories: SpanCategories.optional(),
  review: z
    .strictObject({
      overlap: Overlap,
      strength: z.boolean(),
      due_on: z.iso.date().nullable(),
      order: TaskOrder,
      random_share: RandomShare
    })
    .partial()
    .optional()
});
export type ChangeProject = z.infer<typeof ChangeProject>;

/** `before`: as they stood when the caller last judged here; null where they have not changed since, or the caller has judged nothing. */
export const Guidelines = z.object({ text: z.string(), before: z.string().nullable() });
export type Guidelines = z.infer<typeof Guidelines>;

export const NewMember = z.strictObject({
  email: z.email().max(254),
  name: z.string().trim().min(1).max(120),
  role: Role
});
/** `token`: of a new account; `invitation`: the link for an account that was there. */
export const MemberCreated = z.object({
  user: z.object({ id: z.string() }),
  token: z.string().nullable(),
  invitation: z.string().nullable()
});

/** A kind of tasks, in the project's own word. */
export const Specialty = z
  .string()
  .refine((text) => text.isWellFormed() && !/\p{Cc}/u.test(text), 'a character of it cannot be kept')
  .overwrite(specialtyOf)
  .min(1)
  .max(SPECIALTY_LENGTH_MAX);

export const Member = z.object({
  user: z.object({ id: z.string(), name: z.string(), email: z.string() }),
  role: Role,
  /** Tasks that name a specialty are handed to members who have it. */
  specialties: z.array(z.string()),
  created_at: z.string()
});
export type Member = z.infer<typeof Member>;

export const ChangeMember = z.strictObject({
  role: Role.optional(),
  specialties: z.array(Specialty).max(SPECIALTIES_MAX).optional()
});
export type ChangeMember = z.infer<typeof ChangeMember>;

export const NewInvitation = z.strictObject({ email: z.email().max(254), role: Role });
export const InvitationCreated = z.object({ id: z.string(), link: z.string(), expires_at: z.string() });
