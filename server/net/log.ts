import { DrizzleQueryError } from 'drizzle-orm';

/**
 * One JSON object per line on stderr. Callers pass ids, counts and codes; never a task's text, a secret or a token.
 * JSON escapes newlines and control characters, so that nothing a user typed can forge a line.
 */
type Facts = Record<string, unknown>;

function write(level: string, message: string, facts: Facts): void {
  const error = facts.error instanceof Error ? { error: told(facts.error) } : {};
  process.stderr.write(
    JSON.stringify({ at: new Date().toISOString(), level, message, ...facts, ...error }) + '\n'
  );
}

/** A failed query says what failed, and not the values that it was given: those are people's texts and secrets. */
function told(error: Error): string {
  if (!(error instanceof DrizzleQueryError)) return error.stack ?? error.message;
  const { stack = '', message, query, cause } = error;
  const frames = stack.slice(stack.indexOf(message) + message.length);
  return `Failed query: ${cause?.message ?? 'no reason given'}\n${query}${frames}`;
}

export const log = {
  info: (message: string, facts: Facts = {}) => write('info', message, facts),
  warn: (message: string, facts: Facts = {}) => write('warn', message, facts),
  error: (message: string, facts: Facts = {}) => write('error', message, facts)
};
