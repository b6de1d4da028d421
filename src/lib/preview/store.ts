import { PreviewFailure, type Fetched } from './protocol.ts';

const PREFIX = 'concord-preview-';
/** Bases kept on this device; the one that came first goes first. */
const BASES_MAX = 3;

export interface Wanted {
  /** Holds the file's hash, so what is kept under it never changes. */
  url: string;
  bytes: number;
}

/**
 * Files of one base and its adapters, kept in Cache Storage across reloads. Browsers offer that to secure origins only
 * (https, or this machine); elsewhere every visit downloads.
 */
export class FileStore {
  readonly fetched: Fetched = { downloaded_bytes: 0, cached_bytes: 0 };
  private readonly cache: Cache | null;

  private constructor(cache: Cache | null) {
    this.cache = cache;
  }

  static async open(base: string): Promise<FileStore> {
    if (!globalThis.caches) return new FileStore(null);
    const name = PREFIX + base;
    const kept = (await caches.keys()).filter((key) => key.startsWith(PREFIX) && key !== name);
    for (const old of kept.slice(0, Math.max(0, kept.length - BASES_MAX + 1))) await caches.delete(old);
    return new FileStore(await caches.open(name));
  }

  /** The file's bytes; `onBytes` hears how many more have arrived. */
  async read(
    { url, bytes }: Wanted,
    onBytes: (count: number) => void = () => {}
  ): Promise<Uint8Array<ArrayBuffer>> {
    const kept = await this.cache?.match(url);
    if (kept) {
      const data = await this.keptBytes(kept, bytes);
      if (data) {
        onBytes(bytes);
        this.fetched.cached_bytes += bytes;
        return data;
      }
    }
    const data = await download(url, bytes, onBytes, this.cache ? 'no-store' : 'default');
    this.fetched.downloaded_bytes += bytes;
    // A device whose storage is full still previews; it downloads again next time.
    await this.cache?.put(url, new Response(data)).catch(() => {});
    return data;
  }

  private async keptBytes(response: Response, bytes: number): Promise<Uint8Array<ArrayBuffer> | null> {
    const data = await response.arrayBuffer().catch(() => null);
    return data?.byteLength === bytes ? new Uint8Array(data) : null;
  }
}

/** Leaves none of these files on the device: an adapter has learned from texts that not everybody may read. */
export async function forgetFiles(): Promise<void> {
  if (!globalThis.caches) return;
  for (const name of await caches.keys()) if (name.startsWith(PREFIX)) await caches.delete(name);
}

async function download(
  url: string,
  bytes: number,
  onBytes: (count: number) => void,
  // A base would otherwise stand on the device twice, and push everything else out of the browser's own cache.
  cache: RequestCache
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await reach(url, cache);
  const data = new Uint8Array(bytes);
  let at = 0;
  const reader = response.body!.getReader();
  for (;;) {
    const { done, value } = await reader.read().catch(() => {
      throw new PreviewFailure({ code: 'unreachable' });
    });
    if (done) break;
    if (at + value.byteLength > bytes) throw wrongLength();
    data.set(value, at);
    at += value.byteLength;
    onBytes(value.byteLength);
  }
  if (at !== bytes) throw wrongLength();
  return data;
}

const wrongLength = () => new PreviewFailure({ code: 'unreachable' });

/** A GET below the API; a refusal speaks in the server's words. */
export async function reach(url: string, cache: RequestCache = 'default'): Promise<Response> {
  const response = await fetch(url, { cache }).catch(() => {
    throw new PreviewFailure({ code: 'unreachable' });
  });
  if (response.ok) return response;
  const problem = (await response.json().catch(() => null)) as { detail?: string } | null;
  throw new PreviewFailure(
    problem?.detail
      ? { code: 'said', detail: problem.detail }
      : { code: 'unexpected', detail: `HTTP ${response.status}` }
  );
}
