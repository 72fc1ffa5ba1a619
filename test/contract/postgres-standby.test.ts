import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BackendFacts, BackendServer } from '../../src/actors/model/backend.ts';
import { PostgresUnavailable } from '../../src/actors/ports/postgres.ts';
import { postgresServers, type RunningPostgres } from '../support/servers.ts';
import { leader, must, openScenario, rowsOf, type Scenario } from './postgres-scenario.ts';

/** One story, told in order: a standby follows, is promoted while the old primary lives, and follows nobody any more. */
describe.each(postgresServers())('a primary and its streaming standby, %s', (_, start) => {
  let primary: RunningPostgres;
  let standby: RunningPostgres;
  let scenario: Scenario;
  beforeAll(async () => {
    primary = await start('own');
    standby = await primary.startStandby();
    scenario = await openScenario(primary);
    await caughtUp();
  });
  afterAll(async () => {
    await scenario[Symbol.asyncDispose]();
    await standby.stop();
    await primary.stop();
  });

  const endpointOf = ({ host, port }: BackendServer): string => `${host}:${port}`;
  const serverOf = ({ host, port }: BackendServer): BackendServer => ({ host, port });
  const look = (...servers: readonly BackendServer[]): Promise<BackendFacts> =>
    scenario.postgres.inspect({ ...scenario.access, endpoints: servers.map(endpointOf) }, new AbortController().signal);
  /** Our login has to be there before we can look. */
  const caughtUp = async (): Promise<void> => {
    const [{ lsn } = {}] = await rowsOf({ server: primary }, 'SELECT pg_current_wal_lsn()::text AS lsn');
    await vi.waitFor(
      async () => {
        const sql = 'SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS there';
        expect(await rowsOf({ server: standby }, sql, [lsn])).toEqual([{ there: true }]);
      },
      { timeout: 20_000 },
    );
  };

  it('are told apart in any order', async () => {
    const facts = { kind: 'ready', primary: serverOf(primary), standbys: [serverOf(standby)], timeline: 1 };
    expect(await look(primary, standby)).toMatchObject(facts);
    expect(await look(standby, primary)).toMatchObject(facts);
  });

  it('are away without the primary', async () => {
    expect(await look(standby)).toEqual({
      kind: 'away',
      reason: `no primary within reach: ${endpointOf(standby)}: in recovery, a standby`,
    });
  });

  it('take a step on the standby for one that was not done', async () => {
    must(await scenario.take({ type: 'raiseFence' }));
    await caughtUp();
    const step = { type: 'ensureDatabase', database: scenario.name('orders') } as const;
    await expect(scenario.take(step, { primary: standby })).rejects.toThrow(PostgresUnavailable);
    must(await scenario.take(step));
    await caughtUp();
  });

  it('are not mixed with the servers of another cluster', async () => {
    const stranger = await start();
    const { username, password } = scenario.access;
    await rowsOf(
      { server: stranger },
      `CREATE ROLE "${username}" LOGIN CREATEROLE CREATEDB PASSWORD '${password.reveal()}'`,
    );
    const facts = await look(primary, stranger);
    expect(facts).toMatchObject({ kind: 'blocked', reason: expect.stringContaining('different PostgreSQL clusters') });
    expect(facts).toMatchObject({ reason: expect.stringContaining(`${endpointOf(stranger)} is `) });
  });

  it('are two primaries once the standby is promoted: nobody is chosen', async () => {
    await rowsOf({ server: standby }, 'SELECT pg_promote()');
    const both = `(${endpointOf(primary)}, ${endpointOf(standby)})`;
    expect(await look(primary, standby)).toMatchObject({
      kind: 'blocked',
      reason: expect.stringContaining(`more than one primary ${both}`),
    });
  });

  it('are one primary on the next timeline when the old one has stopped, and its fence goes on', async () => {
    await primary.kill();
    expect(await look(primary, standby)).toMatchObject({
      kind: 'ready',
      primary: serverOf(standby),
      standbys: [],
      timeline: 2,
    });
    expect(await scenario.take({ type: 'raiseFence' }, { primary: standby, leadership: leader(0) })).toEqual({
      kind: 'fenced',
    });
    must(await scenario.take({ type: 'ensureDatabase', database: scenario.name('orders') }, { primary: standby }));
  });
});
