import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BackendFacts } from '../../src/actors/model/backend.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { findBinary, missingBinaries } from '../../src/infra/local/binaries.ts';
import { type PostgresServer, startPostgres } from '../../src/infra/local/postgres.ts';
import { openPostgres } from '../../src/infra/postgres/postgres.ts';
import { testAccount, testDirectory } from '../support/servers.ts';
import { connectAs, must, openScenario, rowsOf, type Scenario } from './postgres-scenario.ts';

const missing = missingBinaries(['initdb', 'postgres'], '');

describe.runIf(missing.length === 0)('a backend without room for another connection', () => {
  let server: PostgresServer;
  let scenario: Scenario;
  const taken: AsyncDisposable[] = [];
  beforeAll(async () => {
    const [initdb, postgres] = [findBinary('initdb', ''), findBinary('postgres', '')];
    const options = { initdb, postgres, directory: await testDirectory(), account: testAccount(), maxConnections: 12 };
    server = await startPostgres(options);
    scenario = await openScenario(server);
    must(await scenario.take({ type: 'raiseFence' }));
  });
  afterAll(async () => {
    for (const one of taken) await one[Symbol.asyncDispose]();
    await scenario[Symbol.asyncDispose]();
    await server.stop();
  });

  const look = (by = scenario): Promise<BackendFacts> => by.postgres.inspect(by.access, new AbortController().signal);
  const fill = async (): Promise<void> => {
    const { username } = (await scenario.client()).account;
    await rowsOf(scenario, `ALTER ROLE "${username}" PASSWORD 'taking'`);
    const login = { username, password: new Secret('taking') };
    for (;;) {
      try {
        taken.push(await connectAs(server, login, 'postgres'));
      } catch {
        return;
      }
    }
  };

  it('is ready for those it knows, and says that it is full', async () => {
    expect(await look()).toMatchObject({ kind: 'ready', ailments: [] });
    await fill();
    expect(await look()).toMatchObject({ kind: 'ready', ailments: ['full'] });
    await delay(3_100); // Now the door is tried anew, and the old connection serves on.
    expect(await look()).toMatchObject({ kind: 'ready', ailments: ['full'] });
  });

  it('does no step, and says so in the words of PostgreSQL, as for one that it has never seen', async () => {
    const step = { type: 'ensureDatabase', database: scenario.name('orders') } as const;
    await expect(scenario.take(step)).rejects.toThrow(/\(53300\); raise max_connections there/);
    await using stranger = { ...scenario.sibling(), ...nobody() };
    expect(await look(stranger)).toMatchObject({ kind: 'away', reason: expect.stringContaining('(53300)') });
  });
  /** Another process with the same login. */
  const nobody = () => {
    const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const postgres = openPostgres({ application: scenario.application, clock: createSystemClock(), log: quiet });
    return { postgres, [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose]() };
  };

  it('is well again with the first connection that ends', async () => {
    for (const one of taken.splice(0)) await one[Symbol.asyncDispose]();
    await expect.poll(() => look(), { timeout: 3_000 }).toMatchObject({ kind: 'ready', ailments: [] });
    must(await scenario.take({ type: 'ensureDatabase', database: scenario.name('orders') }));
  });
});
