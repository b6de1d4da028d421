import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Actor } from './auth/actor.ts';
import type { Config } from './config.ts';

/** The server as its two faces (production, development) and SvelteKit's pages see it. */
export interface App {
  config: Config;
  /** Answers everything under `/api/v1`. */
  api(request: Request, address: string): Promise<Response>;
  /** better-auth's endpoints under `/api/auth`. */
  authentication(request: Request): Promise<Response>;
  /** Who is asking, by cookie or bearer token. */
  actor(headers: Headers): Promise<Actor | null>;
  /** False until the first account exists. */
  hasAccounts(): Promise<boolean>;
  health(): Promise<{ status: 'ok' | 'degraded'; version: string; database: string }>;
  metrics(): Promise<string>;
  /** Sockets under `/yjs/`. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  close(): Promise<void>;
}
