import { z } from 'zod';

export const Objective = z.enum(['sft', 'dpo']);
export type Objective = z.infer<typeof Objective>;
/** Values of `loss_type` that learn from pairs, as datasets hold them (trainer/README.md, Objectives). */
export const PAIR_LOSSES = [
  ...['sigmoid', 'robust', 'hinge', 'ipo', 'sigmoid_norm', 'exo_pair', 'discopop'],
  ...['apo_zero', 'apo_down', 'sppo_hard', 'nca_pair', 'simpo', 'orpo']
];
/** Those of the policy alone: a reference would have no effect, and the trainer refuses it. */
export const REFERENCE_FREE_LOSSES = ['simpo', 'orpo'];
export const RunStatus = z.enum(['queued', 'running', 'done', 'failed', 'cancelled', 'interrupted']);
export type RunStatus = z.infer<typeof RunStatus>;
/** The trainer contract's job keys, without those that the studio sets (files, folders, objective). */
export const Hyperparameters = z.record(z.string(), z.unknown());
export type Hyperparameters = z.infer<typeof Hyperparameters>;
/** The last `step` and `eval` figures under TRL's names. */
export const RunMetrics = z.record(z.string(), z.number());
export type RunMetrics = z.infer<typeof RunMetrics>;

export const NewRun = z.strictObject({
  dataset: z.string(),
  model: z.string(),
  objective: Objective,
  name: z.string().trim().min(1).max(120).optional(),
  parent_adapter: z.string().optional(),
  hyperparameters: Hyperparameters.optional()
});

export const Run = z.object({
  id: z.string(),
  project: z.string(),
  name: z.string(),
  dataset: z.string(),
  model: z.string(),
  parent_adapter: z.string().nullable(),
  objective: Objective,
  hyperparameters: Hyperparameters,
  status: RunStatus,
  step: z.number().int(),
  max_steps: z.number().int().nullable(),
  metrics: RunMetrics,
  adapter: z.string().nullable(),
  error: z.string().nullable(),
  created_at: z.string(),
  started_at: z.string().nullable(),
  ended_at: z.string().nullable()
});
export type Run = z.infer<typeof Run>;

/** A line of the trainer's events (trainer contract, Events), as stored and as sent to pages. */
export const TrainerEvent = z.looseObject({
  event: z.enum(['start', 'step', 'eval', 'checkpoint', 'end', 'error'])
});
export type TrainerEvent = z.infer<typeof TrainerEvent>;
