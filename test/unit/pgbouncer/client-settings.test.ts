import { describe, expect, it } from 'vitest';
import type { ClientSettings, Options } from '../../../src/actors/model/intent.ts';
import { completeOptions } from '../../../src/pgbouncer/catalogue.ts';
import {
  changedSettings,
  noSettings,
  problemsOfSettings,
  unheededTimeouts,
} from '../../../src/pgbouncer/client-settings.ts';
import { parseConnectionString } from '../../../src/pgbouncer/dialect.ts';
import { userEntry } from '../../../src/pgbouncer/user-entry.ts';
import { type Release, versionOf } from '../../../src/pgbouncer/version.ts';
import { userOf } from '../../support/builders.ts';

const all: ClientSettings['timeouts'] = {
  queryTimeout: 30,
  transactionTimeout: 40,
  idleTransactionTimeout: 50,
  clientIdleTimeout: 60,
  queryWaitTimeout: 70,
};
const lineOf = (
  timeouts: ClientSettings['timeouts'],
  version: Release,
  { options = {}, share = 0 }: { readonly options?: Options; readonly share?: number } = {},
) =>
  Object.fromEntries(
    parseConnectionString(
      userEntry(userOf('zoe', 'x', { timeouts }), share, completeOptions(options), versionOf(version)),
    ),
  );
const year = '31536000';

describe('the line of a login', () => {
  it.each<readonly [Release, readonly string[]]>([
    ['1.18', []],
    ['1.23', []],
    ['1.24', ['query_timeout', 'idle_transaction_timeout', 'client_idle_timeout']],
    ['1.25', ['query_timeout', 'transaction_timeout', 'idle_transaction_timeout', 'client_idle_timeout']],
    [
      '1.26',
      ['query_timeout', 'transaction_timeout', 'idle_transaction_timeout', 'client_idle_timeout', 'query_wait_timeout'],
    ],
  ])('has the timeouts that PgBouncer %s knows', (version, keys) => {
    expect(Object.keys(lineOf(all, version))).toEqual(['pool_mode', 'max_user_connections', ...keys]);
  });

  it('has the pool mode and no limit where nothing else is asked for', () => {
    expect(lineOf({}, '1.18', { options: { pool_mode: 'transaction' } })).toEqual({
      pool_mode: 'transaction',
      max_user_connections: '0',
    });
  });

  it('has a pool as large as its limit, where a login can have one', () => {
    expect(lineOf({}, '1.22', { share: 9 })).toMatchObject({ max_user_connections: '9' });
    expect(lineOf({}, '1.22', { share: 9 })).not.toHaveProperty('pool_size');
    expect(lineOf({}, '1.23', { share: 9 })).toMatchObject({ max_user_connections: '9', pool_size: '9' });
    expect(lineOf({}, '1.23')).not.toHaveProperty('pool_size');
  });

  it('says never where the option says a time, in the only way there is', () => {
    const option = { query_timeout: 1.5, idle_transaction_timeout: 0, query_wait_timeout: 120 };
    const never = { queryTimeout: 0, idleTransactionTimeout: 0, queryWaitTimeout: 0 };
    expect(lineOf(never, '1.26', { options: option })).toMatchObject({
      query_timeout: year,
      idle_transaction_timeout: '0',
      query_wait_timeout: '0',
    });
    expect(lineOf({}, '1.26', { options: option })).toMatchObject({ query_timeout: '0' });
    expect(lineOf({}, '1.26', { options: option })).not.toHaveProperty('query_wait_timeout');
  });

  it('never leaves it to PgBouncer how long a client may be idle when the option does not say', () => {
    expect(lineOf({}, '1.24')).toMatchObject({ client_idle_timeout: year });
    expect(lineOf({ clientIdleTimeout: 0 }, '1.26')).toMatchObject({ client_idle_timeout: year });
    expect(lineOf({}, '1.24', { options: { client_idle_timeout: 0.5 } })).toMatchObject({ client_idle_timeout: '0' });
  });
});

describe('settings of a client', () => {
  it('stay where a change does not name them, and are taken back by null', () => {
    const before: ClientSettings = {
      poolMode: 'session',
      budget: 10,
      timeouts: { queryTimeout: 5, clientIdleTimeout: 6 },
    };
    expect(changedSettings(before, {})).toEqual(before);
    expect(changedSettings(before, { poolMode: null, timeouts: { queryTimeout: null, queryWaitTimeout: 0 } })).toEqual({
      poolMode: null,
      budget: 10,
      timeouts: { clientIdleTimeout: 6, queryWaitTimeout: 0 },
    });
  });

  it('have one way to say that there is no limit', () => {
    expect(changedSettings(noSettings, { budget: 0 })).toEqual(noSettings);
  });

  it.each([
    [{ budget: -1 }, ['budget']],
    [{ budget: 262_144 }, ['budget']],
    [{ timeouts: { queryTimeout: -1, queryWaitTimeout: 31_536_001 } }, ['query-timeout', 'query-wait-timeout']],
    [{ timeouts: { clientIdleTimeout: 1.5 } }, ['client-idle-timeout']],
    [{ budget: Number.NaN }, ['budget']],
    [{ budget: 262_143, timeouts: { queryTimeout: 31_536_000 } }, []],
  ])('%j: problems at %j', (settings, paths) => {
    expect(problemsOfSettings(settings).map(({ path }) => path)).toEqual(paths);
  });

  it('are told apart by whether a version can heed them', () => {
    expect(unheededTimeouts(all, versionOf('1.18')).map(({ word }) => word)).toHaveLength(5);
    expect(unheededTimeouts(all, versionOf('1.25')).map(({ word }) => word)).toEqual(['query-wait-timeout']);
    expect(unheededTimeouts({}, versionOf('1.18'))).toEqual([]);
  });
});
