import { expect, test } from 'vitest';
import { compileTemplate, TemplateFault, type Template } from './jinja/template.ts';
import { jsonOf, linesOf, present, textOf } from './testing-data.ts';

interface Golden {
  template: string;
  conversation: string;
  add_generation_prompt: boolean;
  text?: string;
  /** `Type: message` of the Python exception where the template refuses the conversation. */
  error?: string;
}

/** The goldens' clock stood still at this minute. */
const NOW = new Date(2026, 0, 15, 9, 30);
const SPECIAL = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>', pad_token: '<pad>' };

/**
 * Conversations that Jinja2 refuses, and we do, in other words: these templates of vision models take a message's
 * content for a list of parts, and Python's exceptions name its own types.
 */
const OTHER_WORDS = /^trl\/llava_next(_training)?\.jinja$/;

test.skipIf(!present)('every golden render and every golden refusal of the 84 templates', () => {
  const conversations = jsonOf('chat-templates/conversations.json');
  const goldens: Golden[] = linesOf('chat-templates/golden-renders.jsonl.gz');
  const compiled = new Map<string, Template>();
  const templateOf = (path: string) => {
    if (!compiled.has(path)) compiled.set(path, compileTemplate(textOf(`chat-templates/${path}`)));
    return compiled.get(path)!;
  };
  const wrong: string[] = [];
  let renders = 0;
  let refusals = 0;
  for (const golden of goldens) {
    const { template, conversation, add_generation_prompt } = golden;
    const variables = { ...SPECIAL, add_generation_prompt, tools: null, documents: null };
    const messages = conversations[conversation];
    try {
      const { text } = templateOf(template)({ ...variables, messages }, NOW);
      if (text === golden.text) renders++;
      else wrong.push(`${template} ${conversation} ${add_generation_prompt}: differs`);
    } catch (error) {
      const said = error instanceof TemplateFault ? error.message : String(error);
      const same = golden.error?.includes(said) || (golden.error && OTHER_WORDS.test(template));
      if (same) refusals++;
      else wrong.push(`${template} ${conversation} ${add_generation_prompt}: ${said}`);
    }
  }
  expect(wrong).toEqual([]);
  expect({ renders, refusals, of: goldens.length }).toEqual({ renders: 1070, refusals: 106, of: 1176 });
});
