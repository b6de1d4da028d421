import { z } from 'zod';

export const ImportStatus = z.enum(['queued', 'running', 'done', 'failed']);
export type ImportStatus = z.infer<typeof ImportStatus>;

const TierIndices = z.array(z.array(z.number().int().min(0)).min(1));

/** Any flat shape: `{column}` in `prompt` stands for that column's text; a vote's value maps to tiers of output indices. */
export const Mapping = z.strictObject({
  prompt: z.string().min(1).max(10_000),
  outputs: z.array(z.string().min(1)).min(1).max(26),
  votes: z
    .array(
      z.strictObject({
        column: z.string().min(1),
        rater: z.string().min(1).max(200),
        values: z.record(z.string(), TierIndices)
      })
    )
    .max(50)
    .optional()
});
export type Mapping = z.infer<typeof Mapping>;

export const ImportError = z.object({ line: z.number().int(), code: z.string(), detail: z.string() });
export type ImportError = z.infer<typeof ImportError>;

export const Import = z.object({
  id: z.string(),
  status: ImportStatus,
  rows_read: z.number().int(),
  rows_accepted: z.number().int(),
  rows_rejected: z.number().int(),
  duplicates: z.number().int(),
  errors: z.array(ImportError),
  failure: z.string().nullable(),
  created_at: z.string(),
  ended_at: z.string().nullable()
});
export type Import = z.infer<typeof Import>;

/** How a file begins, for the step in which a person points at columns. */
export const ImportPreview = z.object({
  columns: z.array(z.string()),
  rows: z.array(z.record(z.string(), z.unknown())),
  /** Name of the shape that the first row has; null: needs a mapping. */
  shape: z.string().nullable(),
  errors: z.array(ImportError)
});
export type ImportPreview = z.infer<typeof ImportPreview>;

export const ImportQuery = z.object({
  mapping: z.string().max(16_384).optional(),
  duplicates: z.enum(['keep', 'skip']).default('skip')
});
