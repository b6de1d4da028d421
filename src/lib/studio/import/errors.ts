import type { ImportError } from '$lib/wire/import';

export interface Reason {
  code: string;
  count: number;
  /** Of the first such line, as an example. */
  line: number;
  detail: string;
}

/** The most frequent reason first. */
export function reasonsOf(errors: ImportError[]): Reason[] {
  const reasons: Reason[] = [];
  for (const { code, line, detail } of errors) {
    const known = reasons.find((reason) => reason.code === code);
    if (known) known.count++;
    else reasons.push({ code, count: 1, line, detail });
  }
  return reasons.sort((a, b) => b.count - a.count);
}

export function errorsCsv(errors: ImportError[]): string {
  const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
  const lines = errors.map(({ line, code, detail }) => `${line},${code},${quoted(detail)}`);
  return ['line,code,detail', ...lines, ''].join('\r\n');
}
