import { z } from 'zod';

const count = z.number().int();

export const ProgressQuery = z.strictObject({
  /** IANA name of the caller's time zone: whose midnight ends a day. */
  zone: z.string().min(1).max(64).default('UTC')
});

/** How fast a project's tasks are judged. Of others there are sums alone, never who did how much. */
export const Progress = z.object({
  /** First judgements of tasks by day, today the last, without gaps. Of one taken back nothing remains. */
  days: z.array(z.object({ day: z.iso.date(), mine: count, all: count })),
  /** What the caller means to judge in a day; null where they set nothing. */
  goal: count.nullable(),
  /** By when the project's owner wants all rankings; null where they said nothing. */
  due_on: z.iso.date().nullable()
});
export type Progress = z.infer<typeof Progress>;

export const PROGRESS_DAYS = 14;

export const SetGoal = z.strictObject({ per_day: z.number().int().min(1).max(10_000).nullable() });
