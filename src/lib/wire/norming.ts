import { z } from 'zod';
import { Person } from './remark.ts';

export const NormingStatus = z.enum(['voting', 'discussing', 'done']);
export type NormingStatus = z.infer<typeof NormingStatus>;

/** `tasks`: their ids, or how many of the first that nobody has judged. */
export const BeginNorming = z.strictObject({
  name: z.string().trim().min(1).max(120),
  members: z.array(z.string().max(64)).max(1_000),
  tasks: z.union([z.array(z.string().max(64)).max(1_000), z.number().int()])
});
export type BeginNorming = z.input<typeof BeginNorming>;

/** A statistic with its interval of 95 % by bootstrap over tasks; null where the votes give none. */
export const Figure = z.object({
  value: z.number().nullable(),
  low: z.number().nullable(),
  high: z.number().nullable()
});
export type Figure = z.infer<typeof Figure>;

/** Of one task: Kendall's W, and tau-b of two members on average. */
export const TaskAgreement = z.object({ w: z.number().nullable(), tau: z.number().nullable() });
export type TaskAgreement = z.infer<typeof TaskAgreement>;

/** How far a panel agrees. `tasks`: those that two members or more have ranked; `rankings`: how many it is about. */
export const Agreement = z.object({
  tasks: z.number().int(),
  rankings: z.number().int(),
  /** Krippendorff's, ordinal, over the ranks of all outputs. */
  alpha: Figure,
  /** Means over tasks. */
  w: Figure,
  tau: Figure,
  by_task: z.record(z.string(), TaskAgreement)
});
export type Agreement = z.infer<typeof Agreement>;

export const NormingShown = z.object({
  id: z.string(),
  name: z.string(),
  status: NormingStatus,
  created_at: z.string(),
  members: z.number().int(),
  tasks: z.number().int(),
  /** First votes that are in, of all members; of members times tasks. */
  votes: z.number().int()
});
export type NormingShown = z.infer<typeof NormingShown>;

/** `voted`, `again`: with how many tasks a member is done, for the first time and after the reveal; never what they said. */
export const NormingMember = Person.extend({ voted: z.number().int(), again: z.number().int() });
export type NormingMember = z.infer<typeof NormingMember>;

export const NormingTask = z.object({
  id: z.string(),
  number: z.number().int(),
  begin: z.string(),
  revealed: z.boolean(),
  rankings: z.number().int(),
  /** The caller's own version; 0 where they have not judged it. */
  my_version: z.number().int(),
  /** Null before all tasks are revealed, and where the caller may not see others' judgements of it. */
  before: TaskAgreement.nullable(),
  after: TaskAgreement.nullable()
});
export type NormingTask = z.infer<typeof NormingTask>;

export const NormingSession = z.object({
  id: z.string(),
  project: z.string(),
  name: z.string(),
  status: NormingStatus,
  created_by: Person,
  created_at: z.string(),
  closed_at: z.string().nullable(),
  members: z.array(NormingMember),
  tasks: z.array(NormingTask),
  first: Agreement.omit({ by_task: true }).nullable(),
  second: Agreement.omit({ by_task: true }).nullable(),
  /** The task whose tau-b changed most. */
  moved_most: z.string().nullable()
});
export type NormingSession = z.infer<typeof NormingSession>;
