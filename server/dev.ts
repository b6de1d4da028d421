import type { RequestListener } from 'node:http';
import { createServer as createVite } from 'vite';
import { createApp, type App } from './app.ts';
import { readConfig } from './config.ts';
import { handOver } from './handover.ts';
import { createHttp, listen } from './http.ts';
import { closeOnSignal, explain, lostDatabase } from './lifecycle.ts';

// Pages reload as they change; a change under server/ restarts this process (node --watch), which takes about a second
// because PostgreSQL is taken over, not started again.
process.env.NODE_ENV = 'development';

const serve = closeOnSignal();
let app: App | undefined;
try {
  const config = readConfig(process.env);
  app = await createApp(config, () => lostDatabase(config));
  handOver(app);
  // Vite's socket goes through the same port: another would be another origin, which the content policy refuses.
  const pages: RequestListener = (request, response) => vite.middlewares(request, response);
  const server = createHttp(app, pages, { othersTakeSockets: true });
  const vite = await createVite({
    server: { middlewareMode: true, ws: { server } },
    appType: 'custom'
  });
  serve(server, app, () => vite.close());
  await listen(server, config);
  console.log(`\n  Concord (development): ${config.origin}\n`);
} catch (error) {
  await app?.close();
  explain(error);
}
