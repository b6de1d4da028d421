import type { Config } from '../config.ts';
import { newId, type Database } from '../db/index.ts';
import { apiToken, user } from './tables.ts';
import { secretHash } from './token.ts';

/** CONCORD_BOOTSTRAP_TOKEN on an empty database: an owner for scripts, who has a token and no password. */
export async function ensureBootstrapOwner(config: Config, db: Database): Promise<void> {
  const secret = config.bootstrapToken;
  if (!secret) return;
  await db.transaction(async (tx) => {
    if ((await tx.$count(user)) > 0) return;
    const id = newId('id');
    await tx
      .insert(user)
      .values({ id, name: 'Bootstrap', email: 'bootstrap@concord.invalid', instanceOwner: true });
    await tx
      .insert(apiToken)
      .values({ id: newId('token'), hash: secretHash(secret), userId: id, name: 'CONCORD_BOOTSTRAP_TOKEN' });
  });
}
