import type { QuotedSpan, Span } from '#wire/ranking.ts';
import { Fault } from '../net/fault.ts';
import type { TaskRecord } from '../tasks/index.ts';

const textOf = ({ outputs }: TaskRecord, id: string) => outputs.find((output) => output.id === id)?.text;

export function checkSpans(task: TaskRecord, spans: readonly Span[], categories: readonly string[]): void {
  for (const [i, span] of spans.entries()) {
    const fault = faultIn(span, textOf(task, span.output), categories);
    if (fault) throw new Fault(422, 'invalid', `spans[${i}]: ${fault}`);
  }
}

function faultIn({ start, end, category }: Span, text: string | undefined, categories: readonly string[]) {
  if (text === undefined) return 'output is not an output of this task.';
  if (start >= end || end > text.length)
    return `start and end must lie in the output's ${text.length} UTF-16 code units, start before end.`;
  if (!text.slice(start, end).isWellFormed()) return 'start or end lies within a character.';
  if (!categories.includes(category)) return `category must be one of: ${categories.join(', ')}.`;
  return null;
}

/** With the words that each is about, so that a file of rankings can be read without the outputs. */
export function quoted(task: TaskRecord, spans: readonly Span[]): QuotedSpan[] {
  return spans.map((span) => ({ ...span, quote: textOf(task, span.output)!.slice(span.start, span.end) }));
}
