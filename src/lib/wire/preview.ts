import { z } from 'zod';
import { AdapterFile } from './adapter.ts';

/** What a browser needs to run a base model: its files, and the shapes of the graph's inputs. */
export const PreviewManifest = z.object({
  model: z.string(),
  name: z.string(),
  /** Of all files together; it stands in their addresses, so that they never change under one address. */
  sha256: z.string(),
  /** `model.onnx`, its `weights-N.bin`, and the tokenizer's files. */
  files: z.array(AdapterFile),
  bytes: z.number().int(),
  vocab_size: z.number().int(),
  num_hidden_layers: z.number().int(),
  num_key_value_heads: z.number().int(),
  head_dim: z.number().int(),
  max_position_embeddings: z.number().int(),
  /** Every linear layer that an adapter may change. */
  linears: z.array(z.object({ module: z.string(), in: z.number().int(), out: z.number().int() }))
});
export type PreviewManifest = z.infer<typeof PreviewManifest>;
