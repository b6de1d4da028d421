import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: { alias: { $lib: new URL('./src/lib', import.meta.url).pathname } },
  test: {
    include: [
      'src/**/*.test.ts',
      'server/**/*.test.ts',
      'demo/**/*.test.ts',
      'tests/{contract,attacks,faults,tidy}/**/*.test.ts'
    ],
    globalSetup: ['server/db/testing-cluster.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
    // What is waited for comes in its time, also on a machine that has other work.
    expect: { poll: { timeout: 10_000 } }
  }
});
