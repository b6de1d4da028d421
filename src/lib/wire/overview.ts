import { z } from 'zod';

const count = z.number().int();

/** Where the loop of a project stands, in counts, as the caller may see it. */
export const Overview = z.object({
  tasks: z.object({
    total: count,
    revealed: count,
    /** Rankings by different people that would reveal them all, and how many of those there are. */
    wanted: count,
    ranked: count,
    /** That the caller could be handed now, and that they have ranked. */
    todo: count,
    done: count
  }),
  /** Judgements that stand: one per person (or imported source) and task, however many versions it has. */
  rankings: count,
  /** The guidelines say something else than when the caller last judged here. */
  guidelines_changed: z.boolean(),
  /** Null for roles that only judge. */
  work: z
    .object({
      /** `complete` false: the project is large, and there are at least so many. */
      pairs: z.object({ count, complete: z.boolean() }),
      datasets: count,
      runs: count,
      runs_active: count,
      adapters: count,
      /** The adapter whose margins count where the most uncertain tasks come first, and how many open tasks have one. */
      scored: z.object({ adapter: z.string(), tasks: count }).nullable()
    })
    .nullable()
});
export type Overview = z.infer<typeof Overview>;
