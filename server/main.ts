import type { RequestListener } from 'node:http';
import { createApp, type App } from './app.ts';
import { readConfig } from './config.ts';
import { handOver } from './handover.ts';
import { createHttp, listen } from './http.ts';
import { closeOnSignal, explain, lostDatabase } from './lifecycle.ts';

process.env.NODE_ENV ??= 'production';

const serve = closeOnSignal();
let app: App | undefined;
try {
  const started = performance.now();
  const config = readConfig(process.env);
  app = await createApp(config, () => lostDatabase(config));
  handOver(app);
  // adapter-node reads these when it loads; the API has its own limit on every body.
  process.env.ORIGIN = config.origin;
  process.env.BODY_SIZE_LIMIT = 'Infinity';
  const pages = `${config.root}/build/handler.js`;
  const { handler } = (await import(pages)) as { handler: RequestListener };
  const server = createHttp(app, handler);
  serve(server, app);
  await listen(server, config);
  console.log(
    `\n  Concord is ready: ${config.origin}   (started in ${((performance.now() - started) / 1000).toFixed(1)} s)\n`
  );
} catch (error) {
  await app?.close();
  explain(error);
}
