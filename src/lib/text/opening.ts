import type { Message } from '#wire/task.ts';
import type { Arguments, Render } from './chat.ts';
import { TextError } from './error.ts';

/** How a template lets an answer begin. */
export interface Opening {
  /** What the template is given beside the conversation. */
  arguments: Arguments;
  /** What the prompt ends with, and the conversation with its answer has not: thinking that history leaves out. */
  dropped: string;
}

const QUESTION = 'What is asked here?';
const ANSWER = 'What is answered.';

/**
 * Arguments in the order in which they are tried: none, as transformers asks; then those by which thinking templates are
 * told that the answer comes at once.
 */
const CANDIDATES: Arguments[] = [{}, { enable_thinking: false }, { thinking: false }];

/**
 * A model must be trained on answers after the very prompt that it will be asked with, so the prompt has to be how the
 * conversation with an answer begins. Where no arguments make it so, the template may still end its prompt with
 * thinking, begun and ended, that the finished conversation drops: then the answer follows that prompt. A prompt that
 * leaves thinking open has no plain answer, and is refused. Throws TextError.
 */
export function findOpening(render: Render): Opening {
  const tries = CANDIDATES.map((given) => ({ given, ...probe(render, given) }));
  const begins = tries.find(({ prompt, whole }) => whole.startsWith(prompt));
  if (begins) return { arguments: begins.given, dropped: '' };
  for (const { given, prompt, whole } of tries) {
    const dropped = prompt.slice(sharedBefore(prompt, whole));
    const marks = dropped.match(/<[^<>]*>/g)?.length ?? 0;
    if (marks > 0 && marks % 2 === 0) return { arguments: given, dropped };
  }
  throw new TextError(
    'bad_template',
    'The chat template ends its prompt with thinking that is left open, and drops it once there is an answer: no answer could be trained after the prompt that the model is asked with. Give the model a chat_template.jinja without thinking.'
  );
}

function probe(render: Render, given: Arguments): { prompt: string; whole: string } {
  const asked: Message[] = [{ role: 'user', content: QUESTION }];
  const prompt = render(asked, true, given).text;
  const whole = render([...asked, { role: 'assistant', content: ANSWER }], false, given).text;
  if (prompt.includes(QUESTION) && whole.includes(QUESTION) && whole.includes(ANSWER))
    return { prompt, whole };
  throw new TextError(
    'bad_template',
    'The chat template loses the text of messages: it was written for lists of parts (a vision model), not for plain text.'
  );
}

/** Length of what both begin with, not counting a mark like `<think>` that begins alike and ends otherwise. */
function sharedBefore(a: string, b: string): number {
  let shared = 0;
  while (shared < a.length && a[shared] === b[shared]) shared++;
  const open = a.lastIndexOf('<', shared - 1);
  return open >= 0 && !a.slice(open, shared).includes('>') ? open : shared;
}
