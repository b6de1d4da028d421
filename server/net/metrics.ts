import { monitorEventLoopDelay } from 'node:perf_hooks';
import { version } from '../version.ts';

/** Gauges by name, asked when the page is read; units stand last in names, as Prometheus asks. */
export type Gauges = Record<string, { help: string; value: () => number }>;

/** Prometheus text format 0.0.4. */
export function createMetrics(gauges: Gauges): () => Promise<string> {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const own: Gauges = {
    process_resident_memory_bytes: { help: 'Resident memory.', value: () => process.memoryUsage.rss() },
    process_uptime_seconds: { help: 'Seconds since start.', value: () => process.uptime() },
    event_loop_delay_p99_seconds: {
      help: '99th percentile of event loop delay.',
      value: () => delay.percentile(99) / 1e9
    }
  };
  return async () => {
    const info = `# HELP concord_info Version of this server.\n# TYPE concord_info gauge\nconcord_info{version="${version}"} 1\n`;
    const lines = Object.entries({ ...own, ...gauges }).map(
      ([name, { help, value }]) =>
        `# HELP concord_${name} ${help}\n# TYPE concord_${name} gauge\nconcord_${name} ${value()}\n`
    );
    return info + lines.join('');
  };
}
