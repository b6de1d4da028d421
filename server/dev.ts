import { createServer as createVite } from 'vite';
import { createApp, type App } from './app.ts';
import { readConfig } from './config.ts';
import { handOver } from './handover.ts';
import { createHttp, listen } from './http.ts';
import { closeOnSignal, explain, lostDatabase } from './lifecycle.ts';

// Pages reload as they change; a change under server/ restarts this process (node --watch), which takes about a second
// because PostgreSQL is taken over, not started again.
process.env.NODE_ENV = 'development';

let app: App | undefined;
try {
  const config = readConfig(process.env);
  app = await createApp(config, lostDatabase);
  handOver(app);
  const vite = await createVite({
    server: { middlewareMode: true, hmr: { port: config.port + 1 } },
    appType: 'custom'
  });
  const server = createHttp(app, vite.middlewares);
  closeOnSignal(server, app, () => vite.close());
  await listen(server, config);
  console.log(`\n  Concord (development): ${config.origin}\n`);
} catch (error) {
  await app?.close();
  explain(error);
}
