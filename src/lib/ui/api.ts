import { error } from '@sveltejs/kit';
import type { Problem } from '$lib/wire/problem';
import { keptAnswer, PATIENCE_MS } from '$lib/device/answers.ts';
import { owner } from '$lib/device/store.ts';
import { m } from '$lib/paraglide/messages.js';

/** What the API refused, in its own words (RFC 9457), or that it could not be reached (`status` 0). */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.name = 'Refusal';
    this.status = status;
    this.code = code;
  }
}

export type Fetch = typeof fetch;

interface Sending {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  body?: unknown;
  query?: Record<string, string | number | undefined | null>;
  signal?: AbortSignal;
}

/** The address of an API call; empty query values are left out. */
export function address(path: string, query: Sending['query'] = {}): string {
  const given = Object.entries(query).filter(
    ([, value]) => value !== undefined && value !== null && value !== ''
  );
  const search = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `/api/v1${path}${search ? `?${search}` : ''}`;
}

/** Calls the API; null where it answers without a body. Throws `Refusal`. */
export async function call<T>(fetch: Fetch, path: string, sending: Sending = {}): Promise<T> {
  const { method = 'GET', body, query, signal } = sending;
  const response = await reach(() =>
    fetch(address(path, query), {
      method,
      signal,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body)
    })
  );
  return answer<T>(path, method, response);
}

/** better-auth's endpoints; their refusals come as `{code, message}`. */
export async function authenticate(path: string, body: Record<string, unknown> = {}): Promise<void> {
  const response = await reach(() =>
    fetch(`/api/auth${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body)
    })
  );
  if (!response.ok) throw await refusal(response);
  // Whoever is here now: what lies on this device is not theirs until the server has said who they are.
  owner.clear();
}

/**
 * For `load`: a refusal becomes SvelteKit's error page with the API's status and sentence. Where the server does not
 * answer in time and its last answer lies on this device, that is what comes.
 */
export async function load<T>(fetch: Fetch, path: string, query?: Sending['query']): Promise<T> {
  const asked = call<T>(fetch, path, { query });
  asked.catch(() => {});
  try {
    const kept = query ? undefined : await keptAnswer(path);
    return await (kept === undefined ? asked : inTime(asked, kept as T));
  } catch (thrown) {
    if (thrown instanceof Refusal) error(thrown.status || 503, thrown.message);
    throw thrown;
  }
}

async function inTime<T>(asked: Promise<T>, kept: T): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const patience = new Promise<T>((resolve) => (timer = setTimeout(() => resolve(kept), PATIENCE_MS)));
  try {
    return await Promise.race([asked, patience]);
  } catch (thrown) {
    if (thrown instanceof Refusal && (thrown.status === 0 || thrown.status >= 502)) return kept;
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}

async function reach(send: () => Promise<Response>): Promise<Response> {
  try {
    return await send();
  } catch (thrown) {
    if (thrown instanceof DOMException && thrown.name === 'AbortError') throw thrown;
    throw new Refusal(0, 'unreachable', m.error_unreachable());
  }
}

async function answer<T>(path: string, method: string, response: Response): Promise<T> {
  if (!response.ok) throw await refusal(response);
  if (response.status === 204) return null as T;
  const value = (await response.json()) as T;
  // Schemas check every answer while developing; in production their weight would come with every page.
  if (import.meta.env.DEV) (await import('./answers.ts')).check(method, path, value);
  return value;
}

async function refusal(response: Response): Promise<Refusal> {
  const problem = (await response.json().catch(() => null)) as
    (Partial<Problem> & { message?: string }) | null;
  const detail = problem?.detail ?? problem?.message ?? m.error_status({ status: response.status });
  return new Refusal(response.status, problem?.code ?? 'unknown', detail);
}
