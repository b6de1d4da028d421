import { createHash, randomBytes } from 'node:crypto';

/** 256 random bits with a prefix that secret scanners can find. */
export function newSecret(): string {
  return `concord_${randomBytes(32).toString('base64url')}`;
}

/** What the database keeps of a secret: it has 256 bits of its own, so a fast hash is enough. */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
