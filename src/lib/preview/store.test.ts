import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { PreviewFailure } from './protocol.ts';
import { FileStore, forgetFiles } from './store.ts';

/** Cache Storage as far as the store uses it; names stay in the order in which they came. */
class Caches {
  readonly names = new Map<string, Map<string, Uint8Array>>();
  full = false;

  keys = async () => [...this.names.keys()];
  delete = async (name: string) => this.names.delete(name);
  async open(name: string) {
    const files = this.names.get(name) ?? new Map<string, Uint8Array>();
    this.names.set(name, files);
    return {
      match: async (url: string) => files.has(url) && new Response(files.get(url)!.slice()),
      put: async (url: string, response: Response) => {
        if (this.full) throw new DOMException('Quota exceeded.', 'QuotaExceededError');
        files.set(url, new Uint8Array(await response.arrayBuffer()));
      }
    };
  }
}

const CONTENT = new Uint8Array([1, 2, 3, 4, 5]);
const file = { url: '/api/v1/models/m/preview/weights-0.bin?sha256=a', bytes: CONTENT.length };
const answer = vi.fn<(url: string, init: RequestInit) => Promise<Response>>();
let device: Caches;

beforeEach(() => {
  device = new Caches();
  answer.mockReset().mockImplementation(async () => new Response(CONTENT.slice()));
  vi.stubGlobal('caches', device);
  vi.stubGlobal('fetch', answer);
});
afterEach(() => vi.unstubAllGlobals());

const failureOf = (reading: Promise<unknown>) =>
  reading.then(
    () => null,
    (error: unknown) => (error as PreviewFailure).failure
  );

test('a file is downloaded once, and kept across visits', async () => {
  const heard: number[] = [];
  const first = await FileStore.open('one');
  expect(await first.read(file, (count) => heard.push(count))).toEqual(CONTENT);
  const second = await FileStore.open('one');
  expect(await second.read(file, (count) => heard.push(count))).toEqual(CONTENT);
  expect(answer).toHaveBeenCalledTimes(1);
  expect(answer).toHaveBeenCalledWith(file.url, { cache: 'no-store' });
  expect(heard).toEqual([5, 5]);
  expect([first.fetched, second.fetched]).toEqual([
    { downloaded_bytes: 5, cached_bytes: 0 },
    { downloaded_bytes: 0, cached_bytes: 5 }
  ]);
});

test('what was kept cut off is downloaded again', async () => {
  const store = await FileStore.open('one');
  await store.read(file);
  const [files] = device.names.values();
  files!.set(file.url, CONTENT.slice(0, 2));
  expect(await store.read(file)).toEqual(CONTENT);
  expect(files!.get(file.url)).toEqual(CONTENT);
});

test('three bases are kept; the one that came first goes first, caches of others stay', async () => {
  await device.open('of-another-page');
  for (const base of ['a', 'b', 'c', 'd', 'b']) await (await FileStore.open(base)).read(file);
  expect(await device.keys()).toEqual([
    'of-another-page',
    ...['b', 'c', 'd'].map((base) => `concord-preview-${base}`)
  ]);
});

test('files can be forgotten, and caches of others stay', async () => {
  await device.open('of-another-page');
  for (const base of ['a', 'b']) await (await FileStore.open(base)).read(file);
  await forgetFiles();
  expect(await device.keys()).toEqual(['of-another-page']);
});

test('a device that is full, or that keeps nothing, still previews', async () => {
  device.full = true;
  const full = await FileStore.open('one');
  expect([await full.read(file), await full.read(file)]).toEqual([CONTENT, CONTENT]);
  vi.stubGlobal('caches', undefined);
  expect(await (await FileStore.open('one')).read(file)).toEqual(CONTENT);
  // Without Cache Storage the browser's own cache is all there is.
  expect(answer).toHaveBeenLastCalledWith(file.url, { cache: 'default' });
});

test.each([
  ['shorter', CONTENT.slice(0, 4)],
  ['longer', new Uint8Array(6)]
])('a body that is %s than said is not kept', async (_, body) => {
  answer.mockImplementation(async () => new Response(body));
  expect(await failureOf((await FileStore.open('one')).read(file))).toEqual({ code: 'unreachable' });
  expect(device.names.get('concord-preview-one')!.size).toBe(0);
});

test('a refusal speaks in the server’s words, the network and a proxy for themselves', async () => {
  const store = await FileStore.open('one');
  const detail = 'The files of this adapter are gone.';
  answer.mockImplementation(async () => Response.json({ detail }, { status: 410 }));
  expect(await failureOf(store.read(file))).toEqual({ code: 'said', detail });
  answer.mockImplementation(async () => new Response('<html>', { status: 502 }));
  expect(await failureOf(store.read(file))).toEqual({ code: 'unexpected', detail: 'HTTP 502' });
  answer.mockImplementation(async () => Promise.reject(new TypeError('Failed to fetch')));
  expect(await failureOf(store.read(file))).toEqual({ code: 'unreachable' });
});
