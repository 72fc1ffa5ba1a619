import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { containers, newestContainers, thisMachine } from './test/support/ground.ts';
import { LongestFirst } from './test/support/longest-first.ts';

/** A machine that many share is slow: how long a test takes says nothing about the code. */
const patient = { testTimeout: 60_000, expect: { poll: { timeout: 10_000 } } };

/** More files at a time than there are processors: most wait for servers, and each has servers, or a part of them, of its own. */
const onServers = {
  ...patient,
  maxWorkers: availableParallelism() + 1,
  sequence: { groupOrder: 1 }, // After those that need no servers.
  globalSetup: ['test/support/servers-setup.ts'],
  setupFiles: ['test/support/leak-check.ts'],
  hookTimeout: 120_000,
  provide: { ground: thisMachine },
};

const integration = (...names: readonly string[]) => names.map((name) => `test/integration/${name}.test.ts`);

/** The same tests with servers and units in containers, each where it says most: what it is about differs there. */
const onContainers = {
  ...onServers,
  provide: { ground: containers },
  include: integration(
    'fleet-operates',
    'fleet-survives-leader-loss',
    'fleet-survives-store-loss',
    'fleet-removes-with-backend-away',
    'fleet-names-what-its-backend-suffers',
    'fleet-behind-balancer',
  ),
};
const onNewestContainers = {
  ...onServers,
  provide: { ground: newestContainers },
  include: integration(
    'fleet-operates',
    'fleet-survives-store-loss',
    'fleet-keeps-its-budget',
    'fleet-keeps-trouble-to-one-unit',
    'fleet-removes-unit',
  ),
};

/** Each file has a whole fleet in containers, which two of them keep busy: a balancer that asks late is another test than the one meant. */
const onImages = {
  ...patient,
  maxWorkers: Math.max(1, availableParallelism() - 1),
  sequence: { groupOrder: 2 }, // The others have another number of workers.
  globalSetup: ['test/support/e2e-setup.ts'],
  testTimeout: 240_000,
  hookTimeout: 300_000,
};

/** Nothing that these tests run keeps anything between files: those of one worker share its process, which halves their time. */
const pure = { isolate: false, maxWorkers: availableParallelism() };

export default defineConfig({
  test: {
    cache: false, // The checkout may belong to somebody else.
    sequence: { sequencer: LongestFirst },
    projects: [
      { test: { name: 'unit', include: ['test/unit/**/*.test.ts'], ...patient, ...pure } },
      { test: { name: 'simulation', include: ['test/simulation/**/*.test.ts'], testTimeout: 300_000, ...pure } },
      { test: { name: 'contract', include: ['test/contract/**/*.test.ts'], ...onServers } },
      { test: { name: 'integration', include: ['test/integration/**/*.test.ts'], ...onServers } },
      { test: { name: 'containers', ...onContainers } },
      { test: { name: 'newest-containers', ...onNewestContainers } },
      { test: { name: 'e2e', include: ['test/e2e/**/*.test.ts'], ...onImages } },
    ],
  },
});
