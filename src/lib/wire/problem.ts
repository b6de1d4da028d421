import { z } from 'zod';

/** RFC 9457 with a stable `code`; `detail` says what to change. */
export const Problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  code: z.string(),
  detail: z.string()
});
export type Problem = z.infer<typeof Problem>;
