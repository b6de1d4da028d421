/**
 * Watches for times in which the event loop did not turn because it worked. A machine that gives the process no time is
 * no stall of ours: of each gap only what this thread spent on the processor counts.
 */
export function watchStalls(): { longest(): number; stop(): void } {
  const STEP_MS = 5;
  let longest = 0;
  let at = performance.now();
  let used = process.threadCpuUsage();
  const timer = setInterval(() => {
    const now = performance.now();
    const { user, system } = process.threadCpuUsage(used);
    longest = Math.max(longest, Math.min(now - at - STEP_MS, (user + system) / 1_000));
    at = now;
    used = process.threadCpuUsage();
  }, STEP_MS);
  return { longest: () => longest, stop: () => clearInterval(timer) };
}
