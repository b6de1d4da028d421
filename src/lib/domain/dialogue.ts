import type { Message } from '#wire/task.ts';
import { RowFault } from './imported.ts';

const ROLES: Record<string, Message['role']> = {
  system: 'system',
  user: 'user',
  human: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  model: 'assistant'
};

/** Messages of a row in TRL's (`role`, `content`) or ShareGPT's (`from`, `value`) words. */
export function readMessages(value: unknown, where: string): Message[] {
  if (!Array.isArray(value) || !value.length)
    throw new RowFault('bad_messages', `${where} holds no messages.`);
  return value.map((one, i) => readMessage(one, `${where}[${i}]`));
}

export function readMessage(value: unknown, where: string): Message {
  const { role, from, content, value: said } = (value ?? {}) as Record<string, unknown>;
  const name = ROLES[String(role ?? from)];
  const text = content ?? said;
  if (!name) throw new RowFault('bad_messages', `${where}: the role must be system, user or assistant.`);
  if (typeof text !== 'string') throw new RowFault('bad_messages', `${where}: the content must be text.`);
  return { role: name, content: text };
}

/** A prompt in either of TRL's forms: text becomes one message of the user. */
export function readPrompt(value: unknown, where = 'prompt'): Message[] {
  if (typeof value === 'string') {
    if (!value.trim()) throw new RowFault('empty_text', `${where} is empty.`);
    return [{ role: 'user', content: value }];
  }
  return readMessages(value, where);
}

/** A completion: text, one assistant message, or a list of just that. Empty is an answer too: models give it. */
export function readCompletion(value: unknown, where: string): string {
  return typeof value === 'string' ? value : readAnswer(value, where).content;
}

/** A completion to imitate, which must say something. */
export function readTarget(value: unknown, where: string): string {
  const text = readCompletion(value, where);
  if (!text.trim()) throw new RowFault('empty_text', `${where} is empty.`);
  return text;
}

function readAnswer(value: unknown, where: string): Message {
  const messages = Array.isArray(value) ? readMessages(value, where) : [readMessage(value, where)];
  if (messages.length !== 1 || messages[0]!.role !== 'assistant')
    throw new RowFault('bad_completion', `${where} must be text or a single message of the assistant.`);
  return messages[0]!;
}

export interface Implicit {
  prompt: Message[];
  chosen: string;
  rejected: string;
}

/** The prompt that `chosen` and `rejected` share (TRL's implicit prompt), and what each adds to it. */
export function splitImplicit(chosen: unknown, rejected: unknown): Implicit {
  if (typeof chosen === 'string' && typeof rejected === 'string') return splitTexts(chosen, rejected);
  const a = readMessages(chosen, 'chosen');
  const b = readMessages(rejected, 'rejected');
  let shared = 0;
  while (shared < a.length - 1 && shared < b.length - 1 && same(a[shared]!, b[shared]!)) shared++;
  if (!shared)
    throw new RowFault('no_shared_prompt', 'chosen and rejected do not begin with the same prompt.');
  return {
    prompt: a.slice(0, shared),
    chosen: readCompletion(a.slice(shared), 'chosen'),
    rejected: readCompletion(b.slice(shared), 'rejected')
  };
}

const same = (a: Message, b: Message) => a.role === b.role && a.content === b.content;

const TURN = /\n\n(Human|Assistant):/g;

/** Dialogues as text (HH-RLHF): the last `Assistant:` that both share ends the prompt, what follows is the answer. */
function splitTexts(chosen: string, rejected: string): Implicit {
  const shared = sharedLength(chosen, rejected);
  const turns = [...chosen.slice(0, shared).matchAll(TURN)];
  const last = turns.findLast(([, who]) => who === 'Assistant');
  if (!last)
    throw new RowFault(
      'no_shared_prompt',
      'Without a prompt, chosen and rejected must be dialogues ("\\n\\nHuman: … \\n\\nAssistant: …") that begin alike.'
    );
  const end = last.index + last[0].length;
  return {
    prompt: turnsOf(chosen.slice(0, last.index)),
    chosen: readCompletion(chosen.slice(end).trim(), 'chosen'),
    rejected: readCompletion(rejected.slice(end).trim(), 'rejected')
  };
}

function turnsOf(text: string): Message[] {
  const turns = [...text.matchAll(TURN)];
  const messages = turns.map((turn, i) => ({
    role: turn[1] === 'Human' ? ('user' as const) : ('assistant' as const),
    content: text.slice(turn.index + turn[0].length, turns[i + 1]?.index ?? text.length).trim()
  }));
  const before = text.slice(0, turns[0]?.index ?? text.length).trim();
  const all = before ? [{ role: 'system' as const, content: before }, ...messages] : messages;
  if (!all.some(({ role }) => role === 'user'))
    throw new RowFault('no_shared_prompt', 'The dialogue has no turn of a Human before its answers.');
  return all;
}

function sharedLength(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}
