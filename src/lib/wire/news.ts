import { z } from 'zod';
import { Remark } from './remark.ts';

const count = z.number().int();

/** What the server tells the pages in a room beside the document: message type `NEWS`, JSON. */
export const News = z.discriminatedUnion('kind', [
  /** At a table: somebody said something. */
  z.object({ kind: z.literal('remark'), remark: Remark }),
  /** At a table: a ranking was submitted or decided; read them anew. */
  z.object({ kind: z.literal('rankings') }),
  /** In a lobby, to those who may sit at it: the table of a task is open. */
  z.object({ kind: z.literal('revealed'), task: z.string(), number: z.number().int() }),
  /** In a lobby: where all tasks stand now, as the overview counts them. */
  z.object({
    kind: z.literal('progress'),
    tasks: z.object({ total: count, revealed: count, wanted: count, ranked: count })
  }),
  /** In a lobby, to those at that table: something was said there. */
  z.object({
    kind: z.literal('discussed'),
    task: z.string(),
    number: z.number().int(),
    by: z.object({ id: z.string(), name: z.string() }),
    mentioned: z.array(z.string())
  })
]);
export type News = z.infer<typeof News>;
