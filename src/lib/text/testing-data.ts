import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

/** Real tokenizers, templates and golden results, kept beside the repository; a test without them is skipped. */
const data = new URL('../../../../shared/data', import.meta.url).pathname;
export const present = existsSync(data) || Boolean(process.env.CI);

export function bytesOf(path: string): Buffer {
  const raw = readFileSync(pathOf(path));
  return path.endsWith('.gz') ? gunzipSync(raw) : raw;
}
export const pathOf = (path: string) => `${data}/${path}`;
export const textOf = (path: string) => bytesOf(path).toString();
export const jsonOf = (path: string) => JSON.parse(textOf(path));
export const linesOf = (path: string) =>
  textOf(path)
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
