/**
 * One JSON object per line on stderr. Callers pass ids, counts and codes; never a task's text, a secret or a token.
 * JSON escapes newlines and control characters, so that nothing a user typed can forge a line.
 */
type Facts = Record<string, unknown>;

function write(level: string, message: string, facts: Facts): void {
  const error = facts.error instanceof Error ? { error: facts.error.stack ?? facts.error.message } : {};
  process.stderr.write(
    JSON.stringify({ at: new Date().toISOString(), level, message, ...facts, ...error }) + '\n'
  );
}

export const log = {
  info: (message: string, facts: Facts = {}) => write('info', message, facts),
  warn: (message: string, facts: Facts = {}) => write('warn', message, facts),
  error: (message: string, facts: Facts = {}) => write('error', message, facts)
};
