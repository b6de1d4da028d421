import { defineConfig, type TestUserConfig } from 'vitest/config';

/** They say within a second what others do: nothing else runs beside them. */
const TIMED = ['tests/e2e/open-room.test.ts'];

const resolve = { alias: { $lib: new URL('./src/lib', import.meta.url).pathname } };
const shared: TestUserConfig = {
  testTimeout: 240_000,
  hookTimeout: 120_000,
  // Pages are watched while other browsers and servers have the processors.
  expect: { poll: { timeout: 10_000 } }
};

/** Tests in real Chromium against the built server: each starts its own, on its own data folder. */
export default defineConfig({
  test: {
    projects: [
      {
        resolve,
        test: {
          ...{ ...shared, name: 'pages', include: ['tests/e2e/**/*.test.ts'], exclude: TIMED },
          ...{ maxWorkers: 2, sequence: { groupOrder: 0 } }
        }
      },
      {
        resolve,
        test: { ...shared, name: 'timed', include: TIMED, maxWorkers: 1, sequence: { groupOrder: 1 } }
      }
    ]
  }
});
