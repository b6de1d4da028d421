import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { compileTemplate, TemplateFault, type Template } from './jinja/template.ts';
import { chatTemplate } from './chat.ts';
import { findOpening } from './opening.ts';
import { jsonOf, linesOf, pathOf, present, textOf } from './testing-data.ts';

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
      if (golden.error?.includes(said)) refusals++;
      else wrong.push(`${template} ${conversation} ${add_generation_prompt}: ${said}`);
    }
  }
  expect(wrong).toEqual([]);
  expect({ renders, refusals, of: goldens.length }).toEqual({ renders: 1070, refusals: 106, of: 1176 });
});

const OPEN = 'The chat template ends its prompt with thinking that is left open';
const PARTS = 'The chat template loses the text of messages';
const REFUSES = "The model's chat template refuses this conversation";
/**
 * How templates open an answer, where it is not that the prompt, rendered with no arguments, begins the conversation:
 * why the template is refused, what it is given, or what stands at the end of its prompts and not in its conversations.
 */
const OPENINGS: Record<string, string | { arguments: object } | { dropped: string }> = {
  'trl/deepseekv3.jinja': OPEN,
  'trl/deepseekv3_training.jinja': OPEN,
  'llama.cpp/Cohere2MoE.jinja': OPEN,
  'llama.cpp/llama-cpp-deepseek-r1.jinja': OPEN,
  'trl/idefics3.jinja': PARTS,
  'trl/idefics3_training.jinja': PARTS,
  'trl/llava_next.jinja': REFUSES,
  'trl/llava_next_training.jinja': REFUSES,
  'llama.cpp/MiroThinker.jinja': REFUSES,
  'trl/nemotron_3_super.jinja': { arguments: { enable_thinking: false } },
  'trl/nemotron_3_ultra.jinja': { arguments: { enable_thinking: false } },
  'trl/nemotron_3_ultra_training.jinja': { arguments: { enable_thinking: false } },
  'llama.cpp/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16.jinja': { arguments: { enable_thinking: false } },
  'llama.cpp/deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja': { dropped: '<think>\n</think>' },
  'llama.cpp/google-gemma-4-31B-it.jinja': { dropped: '<|channel>thought\n<channel|>' },
  'llama.cpp/google-gemma-4-31B-it-interleaved.jinja': { dropped: '<|channel>thought\n<channel|>' },
  'llama.cpp/CohereForAI-c4ai-command-r7b-12-2024-tool_use.jinja': {
    dropped: '<|START_THINKING|><|END_THINKING|>'
  }
};

test.skipIf(!present)('how each of the 84 templates lets an answer begin', () => {
  const folders = ['trl', 'llama.cpp', 'mistral-common'];
  const names = folders.flatMap((folder) =>
    readdirSync(pathOf(`chat-templates/${folder}`)).map((name) => `${folder}/${name}`)
  );
  expect(names.length).toBe(84);
  for (const name of names) {
    const find = () => findOpening(chatTemplate(textOf(`chat-templates/${name}`), SPECIAL, () => NOW)!);
    const wanted = OPENINGS[name] ?? {};
    if (typeof wanted === 'string') expect(find, name).toThrow(wanted);
    else expect([name, find()]).toEqual([name, { arguments: {}, dropped: '', ...wanted }]);
  }
});
