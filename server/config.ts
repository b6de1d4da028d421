import { resolve } from 'node:path';

export interface Config {
  host: string;
  port: number;
  dataDir: string;
  modelsDir: string;
  /** Unset: the embedded PostgreSQL in `<dataDir>/postgres`. */
  databaseUrl: string | undefined;
  /** The address that people open, without a slash at the end; cookies and Origin checks hang on it. */
  origin: string;
  bootstrapToken: string | undefined;
  tls: { certFile: string; keyFile: string } | undefined;
  /** The trainer's executable. */
  trainer: string;
  /** Repository root: demo files, migrations, built pages. */
  root: string;
}

export class ConfigError extends Error {}

const root = resolve(import.meta.dirname, '..');

/** Reads the environment (api-contract, Start); throws ConfigError with one sentence that names the variable. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const host = env.HOST || '127.0.0.1';
  const port = readPort(env.PORT);
  const dataDir = resolve(root, env.CONCORD_DATA_DIR || 'data');
  const tls = readTls(env);
  const token = env.CONCORD_BOOTSTRAP_TOKEN || undefined;
  if (token !== undefined && token.length < 32)
    throw new ConfigError(
      'CONCORD_BOOTSTRAP_TOKEN is shorter than 32 characters; make a longer one, for example with `openssl rand -hex 32`.'
    );
  return {
    host,
    port,
    dataDir,
    modelsDir: resolve(root, env.CONCORD_MODELS_DIR || resolve(dataDir, 'models')),
    databaseUrl: env.DATABASE_URL || undefined,
    origin:
      readOrigin(env.ORIGIN) ??
      `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`,
    bootstrapToken: token,
    tls,
    trainer: resolve(root, env.CONCORD_TRAINER || 'trainer/build/concord-trainer'),
    root
  };
}

function readPort(text: string | undefined): number {
  const port = text ? Number(text) : 4000;
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new ConfigError(`PORT is "${text}"; it must be a whole number from 0 to 65535.`);
  return port;
}

function readOrigin(text: string | undefined): string | undefined {
  if (!text) return undefined;
  try {
    return new URL(text).origin;
  } catch {
    throw new ConfigError(`ORIGIN is "${text}"; it must be an address like https://concord.example.org.`);
  }
}

function readTls(env: NodeJS.ProcessEnv): Config['tls'] {
  if (!env.TLS_CERT && !env.TLS_KEY) return undefined;
  if (!env.TLS_CERT || !env.TLS_KEY)
    throw new ConfigError('TLS_CERT and TLS_KEY belong together; one of them is not set.');
  return { certFile: env.TLS_CERT, keyFile: env.TLS_KEY };
}
