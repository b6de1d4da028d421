import { z } from 'zod';

export const AdapterFile = z.object({ name: z.string(), bytes: z.number().int(), sha256: z.string() });
export type AdapterFile = z.infer<typeof AdapterFile>;

export const Adapter = z.object({
  id: z.string(),
  project: z.string(),
  name: z.string(),
  run: z.string(),
  model: z.string(),
  dataset: z.string(),
  parent_adapter: z.string().nullable(),
  files: z.array(AdapterFile),
  bytes: z.number().int(),
  created_at: z.string()
});
export type Adapter = z.infer<typeof Adapter>;
