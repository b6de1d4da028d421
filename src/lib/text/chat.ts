import type { Message } from '#wire/task.ts';
import { TextError } from './error.ts';
import { compileTemplate, type Rendering, type Template } from './jinja/template.ts';

/** Arguments that a template takes beside the conversation, such as `enable_thinking`. */
export type Arguments = Record<string, unknown>;
export type Render = (
  messages: readonly Message[],
  addGenerationPrompt: boolean,
  given?: Arguments
) => Rendering;

const NAMES = ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const;
type Special = Partial<Record<(typeof NAMES)[number], string>>;

/** tokenizer_config.json names special tokens by their text, or as an AddedToken that holds it. */
export function specialTokens(config: Record<string, unknown>): Special {
  const special: Special = {};
  for (const name of NAMES) {
    const token = config[name];
    const text = typeof token === 'string' ? token : (token as { content?: unknown } | null)?.content;
    if (typeof text === 'string') special[name] = text;
  }
  return special;
}

/**
 * The template as `transformers.apply_chat_template` renders it; null where the model has none. A config may hold a
 * list of named templates: `default` is the one for plain conversations. `now` is what `strftime_now` tells.
 */
export function chatTemplate(given: unknown, special: Special, now: () => Date): Render | null {
  const source = Array.isArray(given) ? given.find(({ name }) => name === 'default')?.template : given;
  if (given && typeof source !== 'string')
    throw new TextError('bad_template', 'The chat templates of this model have no one named "default".');
  if (typeof source !== 'string' || !source.trim()) return null;
  const template = compile(source);
  return (messages, addGenerationPrompt, more = {}) => {
    try {
      const variables = { ...special, messages, tools: null, documents: null, ...more };
      return template({ ...variables, add_generation_prompt: addGenerationPrompt }, now());
    } catch (error) {
      throw new TextError(
        'template_refused',
        `The model's chat template refuses this conversation: ${(error as Error).message}`
      );
    }
  };
}

function compile(source: string): Template {
  try {
    return compileTemplate(source);
  } catch (error) {
    throw new TextError('bad_template', `The chat template cannot be read: ${(error as Error).message}`);
  }
}
