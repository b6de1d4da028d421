import { defineConfig } from 'vitest/config';

/**
 * Tests in real Chromium against the built server: each starts its own, on its own data folder. One file at a time: a browser, its server and its
 * database keep two processors busy.
 */
export default defineConfig({
  resolve: { alias: { $lib: new URL('./src/lib', import.meta.url).pathname } },
  test: {
    include: ['tests/e2e/**/*.test.ts'],
    testTimeout: 240_000,
    hookTimeout: 120_000,
    fileParallelism: false,
    // Pages are watched while other browsers and servers have the processors.
    expect: { poll: { timeout: 10_000 } }
  }
});
