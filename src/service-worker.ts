import { build, files, version } from '$service-worker';

/*
 * The app itself, on the device: pages open without a connection. Nothing that a person reads or writes goes through
 * here; what they take along lies in a store of their own (src/lib/device/store.ts).
 */
interface Lasting {
  waitUntil(work: Promise<unknown>): void;
}
interface Asked {
  request: Request;
  respondWith(response: Promise<Response>): void;
}
/** TypeScript's own names for these exclude those of the page. */
interface Worker {
  addEventListener(type: 'install' | 'activate', listener: (event: Lasting) => void): void;
  addEventListener(type: 'fetch', listener: (event: Asked) => void): void;
}
const worker = globalThis as unknown as Worker;

/** A page without content, which becomes whatever page its address says. */
const SHELL = '/shell';
/** Only what begins so is this worker's to remove: the preview keeps its bases on the device too. */
const PREFIX = 'concord-app-';
const CACHE = PREFIX + version;
const PATIENCE_MS = 4_000;

/** The preview's model runtime is loaded where it is used: it is larger than everything else together. */
const assets = new Set([...build, ...files].filter((path) => !/\.wasm$|\/workers\//.test(path)));

worker.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll([SHELL, ...assets])));
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) =>
        Promise.all(
          names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name))
        )
      )
  );
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== location.origin || pathname.startsWith('/api/')) return;
  if (request.mode === 'navigate') event.respondWith(page(request));
  else if (assets.has(pathname)) event.respondWith(asset(request));
});

async function page(request: Request): Promise<Response> {
  const given = new AbortController();
  // Until it begins to answer: a page that comes slowly still comes.
  const timer = setTimeout(() => given.abort(), PATIENCE_MS);
  try {
    const response = await fetch(request, { signal: given.signal });
    // A proxy whose server is away.
    if (response.status < 502 || response.status > 504) return response;
    return (await kept(SHELL)) ?? response;
  } catch (error) {
    const shell = await kept(SHELL);
    if (shell) return shell;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

const asset = async (request: Request) => (await kept(request.url)) ?? fetch(request);

const kept = async (url: string) => (await caches.open(CACHE)).match(url);
