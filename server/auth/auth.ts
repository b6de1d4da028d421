import { AsyncLocalStorage } from 'node:async_hooks';
import { betterAuth } from 'better-auth';
import { drizzleAdapter } from 'better-auth/adapters/drizzle';
import { APIError } from 'better-auth/api';
import { eq, sql } from 'drizzle-orm';
import type { Config } from '../config.ts';
import { newId, type Database } from '../db/index.ts';
import { limits } from '../limits.ts';
import type { Actor } from './actor.ts';
import { sessionSecret } from './secret.ts';
import { account, apiToken, session, user, verification } from './tables.ts';
import { secretHash } from './token.ts';

export interface Auth {
  handle(request: Request): Promise<Response>;
  /** Who is asking, by bearer token or session cookie; null where neither is valid. */
  actor(headers: Headers): Promise<Actor | null>;
  /** True once somebody can sign in with a password. */
  hasAccounts(): Promise<boolean>;
  /** Makes an account on the strength of an invitation; the answer carries the session's cookie. */
  signUpInvited(details: { email: string; name: string; password: string }): Promise<Response>;
  /** Origins that a cookie may come from. */
  origins: string[];
}

const SIGN_UP = '/api/auth/sign-up/email';

export async function createAuth(
  config: Config,
  db: Database,
  onFirstAccount: (actor: Actor) => Promise<void>
): Promise<Auth> {
  const invited = new AsyncLocalStorage<true>();
  const origins = originsOf(config.origin);
  const hasAccounts = async () => (await db.$count(account)) > 0;
  const auth = betterAuth({
    baseURL: config.origin,
    basePath: '/api/auth',
    secret: await sessionSecret(config.dataDir),
    trustedOrigins: origins,
    telemetry: { enabled: false },
    database: drizzleAdapter(db, { provider: 'pg', schema: { user, session, account, verification } }),
    emailAndPassword: { enabled: true, minPasswordLength: limits.auth.password_length_min, autoSignIn: true },
    user: { additionalFields: { instanceOwner: { type: 'boolean', input: false, defaultValue: false } } },
    session: { expiresIn: 7 * 24 * 3600, updateAge: 24 * 3600 },
    rateLimit: {
      enabled: true,
      window: 60,
      max: 120,
      customRules: { '/sign-in/email': { window: 60, max: 20 } }
    },
    advanced: {
      useSecureCookies: config.origin.startsWith('https:'),
      cookiePrefix: 'concord',
      database: { generateId: () => newId('id') },
      ipAddress: { ipAddressHeaders: ['x-concord-address'] }
    },
    databaseHooks: {
      user: {
        create: {
          async before(fresh) {
            if (invited.getStore()) return;
            if (await hasAccounts())
              throw new APIError('FORBIDDEN', {
                message: 'Accounts are made by invitation. Ask the owner of this Concord for a link.'
              });
            return { data: { ...fresh, instanceOwner: true } };
          }
        }
      }
    }
  });

  // Sign-ups run one after another: two at once on an empty server must not both become its first account.
  let lastSignUp: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = lastSignUp.then(work, work);
    lastSignUp = turn.catch(() => {});
    return turn;
  };

  async function signUp(request: Request): Promise<Response> {
    const first = !(await hasAccounts());
    const response = await auth.handler(request);
    if (first && response.ok) {
      const { user: created } = (await response.clone().json()) as {
        user: { id: string; name: string; email: string };
      };
      await onFirstAccount({ ...created, instanceOwner: true, via: { kind: 'session', id: 'sign-up' } });
    }
    return response;
  }

  /** A member who so far had a token only gets a password; anyone else a new account. */
  async function signUpInvited(details: {
    email: string;
    name: string;
    password: string;
  }): Promise<Response> {
    const email = details.email.toLowerCase();
    const [known] = await db.select({ id: user.id }).from(user).where(eq(user.email, email));
    if (!known) return invited.run(true, () => auth.api.signUpEmail({ body: details, asResponse: true }));
    const password = await (await auth.$context).password.hash(details.password);
    await db
      .insert(account)
      .values({ id: newId('id'), accountId: known.id, providerId: 'credential', userId: known.id, password });
    await db.update(user).set({ name: details.name }).where(eq(user.id, known.id));
    return auth.api.signInEmail({ body: { email, password: details.password }, asResponse: true });
  }

  return {
    origins,
    hasAccounts,
    handle: (request) =>
      new URL(request.url).pathname === SIGN_UP ? inTurn(() => signUp(request)) : auth.handler(request),
    signUpInvited: (details) => inTurn(() => signUpInvited(details)),
    async actor(headers) {
      const bearer = /^Bearer (\S+)$/i.exec(headers.get('authorization') ?? '')?.[1];
      if (headers.has('authorization')) return bearer ? actorByToken(db, bearer) : null;
      const found = await auth.api.getSession({ headers });
      if (!found) return null;
      const { id, name, email } = found.user;
      const instanceOwner = found.user.instanceOwner === true;
      return { id, name, email, instanceOwner, via: { kind: 'session', id: found.session.id } };
    }
  };
}

/** On this machine people write `localhost` and `127.0.0.1` alike. */
function originsOf(origin: string): string[] {
  const url = new URL(origin);
  const twin = { localhost: '127.0.0.1', '127.0.0.1': 'localhost' }[url.hostname];
  if (!twin) return [origin];
  url.hostname = twin;
  return [origin, url.origin];
}

async function actorByToken(db: Database, secret: string): Promise<Actor | null> {
  const [found] = await db
    .select({ token: apiToken, user })
    .from(apiToken)
    .innerJoin(user, eq(user.id, apiToken.userId))
    .where(eq(apiToken.hash, secretHash(secret)));
  if (!found || found.token.revokedAt) return null;
  await db
    .update(apiToken)
    .set({ lastUsedAt: sql`now()` })
    .where(
      sql`${apiToken.id} = ${found.token.id} and (${apiToken.lastUsedAt} is null or ${apiToken.lastUsedAt} < now() - interval '1 minute')`
    );
  const { id, name, email, instanceOwner } = found.user;
  const via = {
    kind: 'token',
    id: found.token.id,
    projectId: found.token.projectId,
    issuedBy: found.token.issuedBy
  } as const;
  // A token that is bound to a project has no say over the instance.
  return { id, name, email, instanceOwner: instanceOwner && via.projectId === null, via };
}
