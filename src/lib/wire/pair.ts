import { z } from 'zod';
import { PageQuery } from './list.ts';
import { RankingKind } from './ranking.ts';
import { Message } from './task.ts';

/** Why a task was chosen for a person: its number, its uncertainty, or chance. */
export const Picked = z.enum(['arrival', 'uncertain', 'random']);
export type Picked = z.infer<typeof Picked>;

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
  }),
  /** Everyone whose judgement says so, the first to submit first; `ranking` is the first one's. */
  raters: z.array(z.string()),
  votes: z.object({ for: z.number().int(), against: z.number().int(), tie: z.number().int() })
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
  ranked_at: z.string(),
  /** All that say so: `ranking_id` and `rater` are the first. Raters are ids of people or names of imported sources. */
  ranking_ids: z.array(z.string()),
  raters: z.array(z.string()),
  /** Why each of `raters` was handed the task; null: it was meant for them, they opened it themselves, or the judgement was imported. */
  picked: z.array(Picked.nullable()),
  edited: z.boolean(),
  /** How much better the chosen is, 1 to 3, by those raters who said so of just these two: their mean. */
  strength: z.number().nullable(),
  votes_for: z.number().int(),
  votes_against: z.number().int(),
  votes_tie: z.number().int()
});
export type TrlPair = z.infer<typeof TrlPair>;

export const PairQuery = PageQuery.extend({
  /** `trl`: all pairs as JSON lines, without pages. */
  format: z.enum(['trl']).optional(),
  task: z.string().max(100).optional(),
  /** Id of a person or name of an imported source. */
  rater: z.string().max(200).optional(),
  kind: RankingKind.optional()
});
