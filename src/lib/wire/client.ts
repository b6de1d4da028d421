import { z } from 'zod';

/** Leasing Yjs client ids ahead, for work without a connection. */
export const LeaseClients = z.strictObject({
  room: z.string().max(200),
  count: z.number().int().min(1).max(16).default(4)
});
export const LeasedClients = z.object({ ids: z.array(z.number().int()) });
export type LeasedClients = z.infer<typeof LeasedClients>;
