import { z } from 'zod';

/** `default`: adjudication, else consensus, else the majority of raters' last versions before the reveal. */
export const DatasetPolicy = z.enum(['default']);
export type DatasetPolicy = z.infer<typeof DatasetPolicy>;
export const Split = z.enum(['train', 'eval']);
export type Split = z.infer<typeof Split>;
export const DatasetCounts = z.object({
  pairs: z.number().int(),
  train_pairs: z.number().int(),
  eval_pairs: z.number().int(),
  prompts: z.number().int(),
  tasks: z.number().int(),
  raters: z.number().int()
});
export type DatasetCounts = z.infer<typeof DatasetCounts>;

export const NewDataset = z.strictObject({
  name: z.string().trim().min(1).max(120),
  eval_fraction: z.number().min(0).max(0.9),
  seed: z.number().int().min(0).max(2_147_483_647),
  policy: DatasetPolicy.default('default')
});

export const Dataset = z.object({
  id: z.string(),
  project: z.string(),
  name: z.string(),
  policy: DatasetPolicy,
  eval_fraction: z.number(),
  seed: z.number().int(),
  sha256: z.string(),
  counts: DatasetCounts,
  created_by: z.string().nullable(),
  created_at: z.string()
});
export type Dataset = z.infer<typeof Dataset>;

export const DatasetFormat = z.enum(['trl-jsonl', 'csv']);
export const ExportQuery = z.object({ format: DatasetFormat.default('trl-jsonl'), split: Split.optional() });
