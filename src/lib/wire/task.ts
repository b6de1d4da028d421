import { z } from 'zod';
import { PageQuery } from './list.ts';
import { Specialty } from './project.ts';

export const Message = z.object({ role: z.enum(['system', 'user', 'assistant']), content: z.string() });
export type Message = z.infer<typeof Message>;

/** `open`: may be judged; `revealed`: its overlap was reached or an adjudicator opened it. */
export const TaskStatus = z.enum(['open', 'revealed']);
export type TaskStatus = z.infer<typeof TaskStatus>;

export const Output = z.object({ id: z.string(), text: z.string(), source: z.string().optional() });
export type Output = z.infer<typeof Output>;

export const Task = z.object({
  id: z.string(),
  project: z.string(),
  number: z.number().int(),
  prompt: z.array(Message),
  /** To a browser in the order of their letters, which is not that of the import; to a token as they were imported. */
  outputs: z.array(Output),
  /** To a browser, while the task of a blind project may be judged: output ids in the order in which to show them to the caller. */
  shown_order: z.array(z.string()).optional(),
  /** As it was imported; like an output's source left out for reviewers until the task is revealed. */
  metadata: z.record(z.string(), z.unknown()).nullable().optional(),
  status: TaskStatus,
  /** People who ranked it so far; the caller's own latest version, 0 where there is none. */
  rankings: z.number().int(),
  /** Rankings by different people that reveal it. */
  overlap: z.number().int(),
  /** Only members who have it are handed the task; null: everybody is. */
  specialty: z.string().nullable(),
  /** Those whom alone it is given to; a reviewer sees no others among them. Null: it is for everybody, or for a specialty. */
  people: z.array(z.string()).nullable(),
  my_version: z.number().int()
});
export type Task = z.infer<typeof Task>;

/**
 * `mine`: tasks that the caller has ranked (`done`) or not (`todo`); `q`: words in the prompt or an output; `specialty`: of the task;
 * `person`: whom it is given to, for a reviewer their own id alone.
 */
export const TaskQuery = PageQuery.extend({
  status: TaskStatus.optional(),
  mine: z.enum(['todo', 'done']).optional(),
  q: z.string().trim().min(1).max(200).optional(),
  specialty: Specialty.optional(),
  person: z.string().max(64).optional()
});

/** `after`: a task that the caller is still at; the one after it is leased. */
export const NextQuery = z.strictObject({ after: z.string().max(64).optional() });

export const SkipTask = z.strictObject({ reason: z.string().max(2_000).optional() });

/** Work without a connection: so many tasks at most, which stay the caller's until the time that the answer says. */
export const TakeAlong = z.strictObject({ count: z.number().int().min(1).max(50).default(20) });
export const TasksAlong = z.object({ items: z.array(Task), until: z.string() });
export type TasksAlong = z.infer<typeof TasksAlong>;
export const GiveBack = z.strictObject({ tasks: z.array(z.string().max(64)).min(1).max(50) });
