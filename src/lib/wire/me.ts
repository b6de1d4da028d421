import { z } from 'zod';

/** Who is asking; `accounts` false: nobody has signed up yet and the page offers the first account. */
export const Me = z.object({
  user: z.object({ id: z.string(), name: z.string(), email: z.string() }),
  instance_owner: z.boolean()
});
export type Me = z.infer<typeof Me>;
