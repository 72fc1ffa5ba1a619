import { defineConfig } from 'vitest/config';

export default defineConfig({
  cacheDir: '/tmp/.troupe-vitest',
  test: {
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      { test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'], testTimeout: 60_000 } },
    ],
  },
});
