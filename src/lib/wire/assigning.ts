import { z } from 'zod';
import { Specialty } from './project.ts';

/** Tasks that are given at once, and people whom one task is given to. */
export const TASKS_GIVEN_MAX = 1_000;
export const PEOPLE_GIVEN_MAX = 20;

/**
 * Gives tasks to certain people, each of whom is asked for a ranking, or to a specialty, or with `specialty: null` to everybody. `tasks`: ids,
 * or numbers from one to another like `120-180`. `overlap`: rankings that reveal each, where not all of the people need to judge it.
 */
export const AssignTasks = z
  .strictObject({
    tasks: z.union([z.array(z.string().max(64)).min(1), z.string().regex(/^[1-9]\d{0,8}-[1-9]\d{0,8}$/)]),
    people: z.array(z.string().max(64)).min(1).optional(),
    overlap: z.number().int().min(1).max(PEOPLE_GIVEN_MAX).optional(),
    specialty: Specialty.nullable().optional()
  })
  .refine(
    ({ people, specialty }) => (people === undefined) !== (specialty === undefined),
    'say either people or specialty'
  );
export type AssignTasks = z.infer<typeof AssignTasks>;

/** How many were given, and which were not, and why. */
export const AssignedTasks = z.object({
  given: z.number().int(),
  refused: z.array(
    z.object({ task: z.string(), number: z.number().int(), code: z.string(), detail: z.string() })
  )
});
export type AssignedTasks = z.infer<typeof AssignedTasks>;
