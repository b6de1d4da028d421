import { z } from 'zod';
import { RankingKind } from './ranking.ts';
import { Message } from './task.ts';

/** One preference with where it comes from: who, when, from which version of which ranking. */
export const Pair = z.object({
  id: z.string(),
  task: z.string(),
  task_number: z.number().int(),
  prompt: z.array(Message),
  chosen: z.object({ output: z.string(), text: z.string(), edited: z.boolean() }),
  rejected: z.object({ output: z.string(), text: z.string() }),
  ranking: z.object({
    id: z.string(),
    kind: RankingKind,
    version: z.number().int(),
    rater: z.string(),
    submitted_at: z.string()
  })
});
export type Pair = z.infer<typeof Pair>;

/** A line of `pairs?format=trl`: TRL's conversational preference format plus provenance columns. */
export const TrlPair = z.object({
  prompt: z.array(Message),
  chosen: z.array(Message),
  rejected: z.array(Message),
  task_id: z.string(),
  chosen_output: z.string(),
  rejected_output: z.string(),
  ranking_id: z.string(),
  rater: z.string(),
  ranked_at: z.string()
});
export type TrlPair = z.infer<typeof TrlPair>;
