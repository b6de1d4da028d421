import { z } from 'zod';

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
  outputs: z.array(Output),
  metadata: z.record(z.string(), z.unknown()).nullable().optional(),
  status: TaskStatus,
  /** Rankings by people so far; the caller's own latest version, 0 where there is none. */
  rankings: z.number().int(),
  my_version: z.number().int()
});
export type Task = z.infer<typeof Task>;

export const SkipTask = z.strictObject({ reason: z.string().max(2_000).optional() });
