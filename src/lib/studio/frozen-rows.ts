import { address, Refusal } from '$lib/ui/api.ts';
import { m } from '$lib/paraglide/messages.js';
import type { Split } from '$lib/wire/dataset';
import type { TrlPair } from '$lib/wire/pair';
import type { Problem } from '$lib/wire/problem';

export type FrozenRow = TrlPair & { split: Split };

/** The first lines of a dataset's export: read from its stream, which is let go once there are enough. */
export async function firstRows(dataset: string, count: number, signal: AbortSignal): Promise<FrozenRow[]> {
  const response = await fetch(address(`/datasets/${dataset}/export`, { format: 'trl-jsonl' }), { signal });
  if (!response.ok || !response.body) {
    const problem = (await response.json().catch(() => null)) as Partial<Problem> | null;
    const detail = problem?.detail ?? m.error_status({ status: response.status });
    throw new Refusal(response.status, problem?.code ?? 'unknown', detail);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  for (;;) {
    const { value, done } = await reader.read();
    text += value ?? '';
    const lines = text.split('\n');
    if (!done && lines.length <= count) continue;
    void reader.cancel();
    // What stands behind the last newline is a line that has not ended.
    return lines
      .slice(0, -1)
      .slice(0, count)
      .map((line) => JSON.parse(line) as FrozenRow);
  }
}
