import { defineConfig } from 'vitest/config';

const onServers = { globalSetup: ['test/support/servers-setup.ts'], testTimeout: 60_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    cache: false, // The checkout may belong to somebody else.
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'], testTimeout: 60_000 } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], ...onServers } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...onServers } },
    ],
  },
});
