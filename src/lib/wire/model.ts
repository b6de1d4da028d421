import { z } from 'zod';

export const ModelFacts = z.object({
  model_type: z.string(),
  parameters: z.number().int(),
  vocab_size: z.number().int(),
  hidden_size: z.number().int(),
  num_hidden_layers: z.number().int(),
  max_position_embeddings: z.number().int(),
  dtype: z.string(),
  bytes: z.number().int(),
  has_chat_template: z.boolean()
});
export type ModelFacts = z.infer<typeof ModelFacts>;

export const NewModel = z.strictObject({ path: z.string().min(1).max(1_000) });
export const Model = z.object({
  id: z.string(),
  name: z.string(),
  path: z.string(),
  facts: ModelFacts,
  sha256: z.string(),
  created_at: z.string()
});
export type Model = z.infer<typeof Model>;
