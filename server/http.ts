import { readFileSync } from 'node:fs';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse
} from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { App } from './app.ts';
import { ConfigError, type Config } from './config.ts';

/** One port for pages, API and sockets. `pages` answers what is not the server's own. */
export function createHttp(app: App, pages: RequestListener, { othersTakeSockets = false } = {}): Server {
  const listener: RequestListener = (request, response) => {
    // The caller's address for rate limits; what a client wrote there itself must not count.
    request.headers['x-concord-address'] = request.socket.remoteAddress ?? '';
    if (request.url === '/healthz') return void answerHealth(app, response);
    if (request.url === '/metrics') return void answerMetrics(app, request, response);
    response.setHeader('cross-origin-resource-policy', 'same-origin');
    response.setHeader('cross-origin-embedder-policy', 'require-corp');
    response.setHeader('cross-origin-opener-policy', 'same-origin');
    response.setHeader('x-content-type-options', 'nosniff');
    pages(request, response);
  };
  const server = app.config.tls ? createTlsServer(readTls(app.config), listener) : createServer(listener);
  // An import may take as long as the network needs; the intake has its own limits.
  server.requestTimeout = 0;
  server.on('upgrade', (request, socket, head) => {
    if (request.url?.startsWith('/yjs/')) app.upgrade(request, socket, head);
    // Node leaves a socket that nobody takes open for ever.
    else if (!othersTakeSockets) socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n');
  });
  return server as Server;
}

function readTls({ tls }: Config): { cert: Buffer; key: Buffer } {
  try {
    return { cert: readFileSync(tls!.certFile), key: readFileSync(tls!.keyFile) };
  } catch (error) {
    throw new ConfigError(`TLS_CERT or TLS_KEY cannot be read: ${(error as Error).message}.`);
  }
}

async function answerHealth(app: App, response: ServerResponse): Promise<void> {
  const health = await app.health();
  response.writeHead(health.status === 'ok' ? 200 : 503, { 'content-type': 'application/json' });
  response.end(JSON.stringify(health));
}

/** Figures of load, not of people; still only for those who are signed in or ask from this machine. */
async function answerMetrics(app: App, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const here = ['127.0.0.1', '::1', '::ffff:127.0.0.1'].includes(request.socket.remoteAddress ?? '');
  const known = here || (await app.actor(new Headers(request.headers as Record<string, string>)));
  response.writeHead(known ? 200 : 401, { 'content-type': 'text/plain; version=0.0.4' });
  response.end(known ? await app.metrics() : 'Sign in or send a token.\n');
}

/** Resolves with the port; a port in use becomes one sentence. */
export function listen(server: Server, { host, port }: Config): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        reject(
          new ConfigError(
            `Port ${port} on ${host} is in use. Stop what runs there, or choose another: PORT=${port + 1} npm start`
          )
        );
      else if (error.code === 'EACCES')
        reject(
          new ConfigError(`Port ${port} needs rights that this user does not have; choose one above 1023.`)
        );
      else reject(error);
    });
    server.listen(port, host, () => resolve((server.address() as { port: number }).port));
  });
}
