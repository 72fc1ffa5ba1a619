import { describe, expect, it } from 'vitest';
import { canaryIn, isPaused, type Rows, settingIn, settingsShown, versionIn } from '../../../src/pgbouncer/show.ts';
import { configMismatches, settingsAmiss } from '../../../src/pgbouncer/verify.ts';

const ini = `[databases]
orders = host='10.0.0.5' port=5432 dbname='orders' pool_size=9 max_db_connections=9
free = host='10.0.0.5' port=5432 dbname='it''s'

[users]
zoe = pool_mode='session' max_user_connections=3 pool_size=3 query_timeout=30
adam = pool_mode='transaction' max_user_connections=0

[pgbouncer]
admin_users =
unix_socket_mode = 0700
default_pool_size = 20
pool_mode = transaction
query_timeout = 1234567.125
query_wait_timeout = 1.5
syslog_ident = troupe-7-abc
`;
const config: Rows = [
  { key: 'admin_users', value: null },
  { key: 'unix_socket_mode', value: '448' },
  { key: 'default_pool_size', value: '20' },
  { key: 'pool_mode', value: 'Transaction' },
  { key: 'query_timeout', value: '1.23457e+06' },
  { key: 'query_wait_timeout', value: '1.5' },
  { key: 'syslog_ident', value: 'troupe-7-abc' },
  { key: 'verbose', value: '0' },
];
const row = (name: string, changes: Rows[number] = {}): Rows[number] => ({
  name,
  host: '10.0.0.5',
  port: '5432',
  database: name,
  force_user: null,
  pool_size: '9',
  max_connections: '9',
  ...changes,
});
const databases: Rows = [
  row('orders'),
  row('free', { database: "it's", pool_size: '20', max_connections: '0' }),
  row('pgbouncer', { host: null, pool_size: '2' }),
];
const users: Rows = [
  { name: 'zoe', pool_mode: 'session', max_user_connections: '3', pool_size: '        3' },
  { name: 'adam', pool_mode: 'transaction', max_user_connections: '0', pool_size: '        3' },
  { name: 'troupe_probe', pool_mode: null, max_user_connections: '0', pool_size: '' },
];
const changed = (key: string, value: string | null): Rows =>
  config.map((one) => (one['key'] === key ? { ...one, value } : one));

describe('what an instance has loaded', () => {
  it('is what its file says, in the forms that consoles have for it', () => {
    expect(configMismatches(ini, { config, databases, users })).toEqual([]);
    expect(configMismatches(ini, { config: changed('unix_socket_mode', '0700'), databases, users })).toEqual([]);
    expect(configMismatches(ini, { config: changed('admin_users', ''), databases, users })).toEqual([]);
  });

  it.each([
    ['454468.5', '454468'],
    ['454468.5', '454469'],
    ['2233.125', '2233.12'],
    ['0.125', '0.125'],
    ['0', '0'],
  ])('is a time of %s that is shown as %s', (wanted, shown) => {
    expect(settingsAmiss(new Map([['query_timeout', wanted]]), { query_timeout: shown })).toEqual([]);
  });

  it.each([
    ['454468.5', '454470'],
    ['2233.125', '2233.11'],
    ['0.125', '0.12'],
    ['0', '0.001'],
    ['5', '0'],
  ])('is not a time of %s that is shown as %s', (wanted, shown) => {
    expect(settingsAmiss(new Map([['query_timeout', wanted]]), { query_timeout: shown })).toEqual(['query_timeout']);
  });

  it.each([
    ['admin_users', 'root', 'admin_users is root and not empty'],
    ['unix_socket_mode', '511', 'unix_socket_mode is 511 and not 0700'],
    ['unix_socket_mode', '700', 'unix_socket_mode is 700 and not 0700'],
    ['default_pool_size', '20.0', 'default_pool_size is 20.0 and not 20'],
    ['default_pool_size', null, 'default_pool_size is empty and not 20'],
    ['pool_mode', 'session', 'pool_mode is session and not transaction'],
    ['query_timeout', '1.23458e+06', 'query_timeout is 1.23458e+06 and not 1234567.125'],
    ['query_wait_timeout', '', 'query_wait_timeout is empty and not 1.5'],
    ['syslog_ident', 'TROUPE-7-ABC', 'syslog_ident is TROUPE-7-ABC and not troupe-7-abc'],
  ])('is not with %s %j', (key, value, sentence) => {
    expect(configMismatches(ini, { config: changed(key, value), databases, users })).toEqual([sentence]);
    expect(settingsAmiss(new Map([[key, 'x']]), {})).toEqual([key]);
  });

  it('is not where it knows no such setting', () => {
    expect(configMismatches(ini, { config: config.slice(1), databases, users })).toEqual(['it knows no admin_users']);
  });

  it.each([
    ['host', 'else'],
    ['port', '5433'],
    ['database', 'other'],
    ['pool_size', '10'],
    ['max_connections', '0'],
    ['force_user', 'root'],
  ])('is not where %s of a database is another', (column, value) => {
    const rows = databases.map((one) => (one['name'] === 'orders' ? { ...one, [column]: value } : one));
    expect(configMismatches(ini, { config, databases: rows, users })).toEqual([
      expect.stringMatching(`^${column} of database orders is ${value} and not `),
    ]);
  });

  it('is not with a database too few or too many', () => {
    expect(configMismatches(ini, { config, databases: databases.slice(1), users })).toEqual([
      'it does not serve database orders',
    ]);
    expect(configMismatches(ini, { config, databases: [...databases, row('old')], users })).toEqual([
      'it serves database old, which is not in its file',
    ]);
  });

  it.each([
    ['pool_mode', null, 'empty', 'session'],
    ['max_user_connections', '4', '4', '3'],
    ['pool_size', '       30', '30', '3'],
  ])('is not where %s of a login is another', (column, value, said, wanted) => {
    const rows = users.map((one) => (one['name'] === 'zoe' ? { ...one, [column]: value } : one));
    expect(configMismatches(ini, { config, databases, users: rows })).toEqual([
      `${column} of login zoe is ${said} and not ${wanted}`,
    ]);
  });

  it('is not without a login, and is as far as a console shows it', () => {
    expect(configMismatches(ini, { config, databases, users: users.slice(1) })).toEqual(['it does not know login zoe']);
    const shown = users.map(({ name = '', pool_mode = '' }) => ({ name, pool_mode }));
    expect(configMismatches(ini, { config, databases, users: shown })).toEqual([]);
  });

  it('is not known for a file that cannot be read', () => {
    expect(configMismatches('[pgbouncer]\n???\n', { config, databases, users })).toEqual(['its file cannot be read']);
  });
});

describe('rows of a console', () => {
  it('are read by name', () => {
    expect(canaryIn(config)).toBe('troupe-7-abc');
    expect(canaryIn([])).toBeNull();
    expect(canaryIn([{ key: 'syslog_ident', value: 'troupe-7-abc/0123456789ab' }])).toBe('troupe-7-abc');
    expect(settingIn(config, 'admin_users')).toBeNull();
    expect(settingsShown(config)).toMatchObject({ admin_users: '', pool_mode: 'Transaction' });
    expect(
      isPaused([
        { key: 'active', value: 'no' },
        { key: 'paused', value: 'yes' },
      ]),
    ).toBe(true);
    expect(isPaused([{ key: 'paused', value: 'no' }])).toBe(false);
    expect(versionIn([{ version: 'PgBouncer 1.24.1' }])).toEqual({ major: 1, minor: 24, patch: 1 });
    expect(versionIn([])).toBeNull();
  });
});
