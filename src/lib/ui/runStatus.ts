import { m } from '$lib/paraglide/messages.js';
import type { RunStatus } from '$lib/wire/run';

type Tone = 'plain' | 'active' | 'good' | 'warn' | 'bad';

const looks: Record<RunStatus, { name: () => string; tone: Tone }> = {
  queued: { name: m.run_queued, tone: 'plain' },
  running: { name: m.run_running, tone: 'active' },
  done: { name: m.run_done, tone: 'good' },
  failed: { name: m.run_failed, tone: 'bad' },
  cancelled: { name: m.run_cancelled, tone: 'warn' },
  interrupted: { name: m.run_interrupted, tone: 'warn' }
};

/** A run's status as `StatusMark` takes it. */
export function statusOf(status: RunStatus): { text: string; tone: Tone } {
  const { name, tone } = looks[status];
  return { text: name(), tone };
}
