import { DrizzleQueryError } from 'drizzle-orm';
import { afterEach, expect, test, vi } from 'vitest';
import { log } from './log.ts';

afterEach(() => vi.restoreAllMocks());

test('a failed query is logged with its reason and without the values that it was given', () => {
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const cause = new Error('connection terminated');
  log.error('room commit', {
    rows: 1,
    error: new DrizzleQueryError('insert into t values ($1)', ['a finding'], cause)
  });
  const [line] = written.mock.calls[0]!;
  expect(JSON.parse(String(line))).toMatchObject({ message: 'room commit', rows: 1 });
  expect(line).toContain('connection terminated');
  expect(line).toContain('insert into t values ($1)');
  expect(line).toContain('log.test.ts');
  expect(line).not.toContain('a finding');
});
