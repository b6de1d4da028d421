import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface RealServer {
  origin: string;
  dataDir: string;
  /** The bootstrap owner's token; null where the server was started without one. */
  owner: string | null;
  /** Starts it again on the same folder and port, after `kill`. */
  start(): Promise<void>;
  /** Ends only the server's process, as a crash or the kernel would. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Resolves when it has ended by itself. */
  ended(): Promise<void>;
  /** Ends it in order and removes its folder. */
  stop(): Promise<void>;
  /** Of the process that runs now. */
  pid(): number;
  /** What it has printed so far. */
  output(): string;
}

const root = new URL('..', import.meta.url).pathname;

/** The built server as `npm start` runs it, in a process of its own on a throw-away data folder. */
export async function realServer(
  options: { bootstrap?: boolean; tls?: { certFile: string; keyFile: string } } = {}
): Promise<RealServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'concord-real-'));
  const port = await freePort();
  const { tls } = options;
  const origin = `${tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  const owner = options.bootstrap ? randomBytes(24).toString('hex') : null;
  let child: ChildProcess | null = null;
  let output = '';

  async function start() {
    child = spawn(process.execPath, [join(root, 'server/main.ts')], {
      cwd: root,
      env: {
        ...process.env,
        NODE_ENV: 'production',
        PORT: String(port),
        HOST: '127.0.0.1',
        CONCORD_DATA_DIR: dataDir,
        ...(tls ? { TLS_CERT: tls.certFile, TLS_KEY: tls.keyFile } : {}),
        ...(owner ? { CONCORD_BOOTSTRAP_TOKEN: owner } : {})
      },
      stdio: ['ignore', 'pipe', 'pipe']
    });
    for (const stream of [child.stdout, child.stderr])
      stream!.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const ended = new Promise<never>((_, fail) =>
      child!.once('exit', (code) => fail(new Error(`The server ended with ${code}:\n${output.slice(-4000)}`)))
    );
    ended.catch(() => {});
    await Promise.race([ended, untilHealthy(origin, tls && (await readFile(tls.certFile)))]);
  }

  async function ended(): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise((resolve) => child!.once('exit', resolve));
  }

  async function end(signal: NodeJS.Signals) {
    child?.kill(signal);
    await ended();
  }

  await start();
  return {
    origin,
    dataDir,
    owner,
    start,
    kill: (signal = 'SIGKILL') => end(signal),
    ended,
    async stop() {
      // PostgreSQL outlives a killed server; the next one adopts it and can end it in order.
      if (child!.exitCode === null && child!.signalCode !== null) await start();
      await end('SIGTERM');
      await rm(dataDir, { recursive: true, force: true });
    },
    pid: () => child!.pid!,
    output: () => output
  };
}

async function untilHealthy(origin: string, ca?: Buffer): Promise<void> {
  while (!(await isHealthy(origin, ca))) await new Promise((resolve) => setTimeout(resolve, 50));
}

function isHealthy(origin: string, ca?: Buffer): Promise<boolean> {
  return new Promise((resolve) => {
    const { get } = ca ? https : http;
    get(`${origin}/healthz`, { ca, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    }).once('error', () => resolve(false));
  });
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}
