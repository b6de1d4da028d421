import { randomBytes } from 'node:crypto';

/** 128 random bits, URL-safe, with a prefix that says what it names: `task_…`. Opaque to callers. */
export function newId(kind: string): string {
  return `${kind}_${randomBytes(16).toString('base64url')}`;
}
