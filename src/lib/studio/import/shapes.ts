import { m } from '$lib/paraglide/messages.js';

const names: Record<string, () => string> = {
  outputs: m.work_import_shape_outputs,
  preference: m.work_import_shape_preference,
  preference_implicit: m.work_import_shape_preference,
  alpaca_preference: m.work_import_shape_preference,
  llamafactory_ranking: m.work_import_shape_llamafactory,
  prompt_completion: m.work_import_shape_sft,
  alpaca: m.work_import_shape_sft,
  messages: m.work_import_shape_sft,
  prompt: m.work_import_shape_text,
  text: m.work_import_shape_text
};

/** A sentence for a shape that the server has recognised; its own name where this page knows none. */
export function shapeName(shape: string): string {
  return names[shape]?.() ?? shape;
}
