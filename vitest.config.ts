import { defineConfig } from 'vitest/config';

const onServers = { globalSetup: ['test/support/servers-setup.ts'], testTimeout: 60_000, hookTimeout: 120_000 };

/** Nothing that these tests run keeps anything between files: they may share a process, which halves their time. */
const pure = { isolate: false };

export default defineConfig({
  test: {
    cache: false, // The checkout may belong to somebody else.
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...pure } },
      { test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'], testTimeout: 60_000, ...pure } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], ...onServers } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...onServers } },
    ],
  },
});
