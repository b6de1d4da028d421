import type { Handle } from '@sveltejs/kit';
import { sequence } from '@sveltejs/kit/hooks';
import { getTextDirection } from '$lib/paraglide/runtime.js';
import { paraglideMiddleware } from '$lib/paraglide/server';
import type { App } from '../server/app.ts';

const app = () => (globalThis as Record<symbol, unknown>)[Symbol.for('concord.app')] as App;

const identify: Handle = async ({ event, resolve }) => {
  event.locals.app = app();
  event.locals.actor = await event.locals.app.actor(event.request.headers);
  return resolve(event);
};

const translate: Handle = ({ event, resolve }) =>
  paraglideMiddleware(event.request, ({ request, locale }) => {
    event.request = request;
    return resolve(event, {
      transformPageChunk: ({ html }) =>
        html.replace('%lang%', locale).replace('%dir%', getTextDirection(locale))
    });
  });

/** Threads for the preview's WebAssembly need cross-origin isolation; the rest is the usual hardening. */
const harden: Handle = async ({ event, resolve }) => {
  const response = await resolve(event);
  response.headers.set('cross-origin-opener-policy', 'same-origin');
  response.headers.set('cross-origin-embedder-policy', 'require-corp');
  response.headers.set('x-content-type-options', 'nosniff');
  response.headers.set('referrer-policy', 'same-origin');
  return response;
};

export const handle = sequence(harden, identify, translate);
