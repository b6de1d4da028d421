import { m } from '$lib/paraglide/messages.js';
import { Refusal } from '$lib/ui/api.ts';
import type { Import } from '$lib/wire/import';
import type { Problem } from '$lib/wire/problem';
import { headersOf, type FileFormat } from './file-format.ts';

export interface Sending {
  done: Promise<Import>;
  abort(): void;
}

/** Sends a file as it is, with progress: fetch cannot tell how much of a body has left. */
export function send(
  address: string,
  file: File,
  format: FileFormat,
  onProgress: (sentBytes: number) => void
): Sending {
  const request = new XMLHttpRequest();
  const done = new Promise<Import>((resolve, reject) => {
    request.open('POST', address);
    for (const [name, value] of Object.entries(headersOf(format))) request.setRequestHeader(name, value);
    request.responseType = 'json';
    request.upload.onprogress = ({ loaded }) => onProgress(loaded);
    request.onabort = () => reject(new DOMException('aborted', 'AbortError'));
    request.onerror = () => reject(new Refusal(0, 'unreachable', m.error_unreachable()));
    request.onload = () => {
      if (request.status === 202) return resolve(request.response as Import);
      const problem = request.response as Partial<Problem> | null;
      const detail = problem?.detail ?? m.error_status({ status: request.status });
      reject(new Refusal(request.status, problem?.code ?? 'unknown', detail));
    };
    request.send(file);
  });
  return { done, abort: () => request.abort() };
}
