import type { App } from './app.ts';

/**
 * SvelteKit's bundle is built apart from this process's modules, so it would make a second pool and second rooms if it
 * imported them. Instead the composition root leaves the one App here, in development and in production alike.
 */
const key = Symbol.for('concord.app');

export function handOver(app: App): void {
  (globalThis as Record<symbol, unknown>)[key] = app;
}
