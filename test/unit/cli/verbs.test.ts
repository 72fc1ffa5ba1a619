import { writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { FleetStatus } from '../../../src/actors/model/status.ts';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { temporaryDirectory } from '../api/harness.ts';
import { fleetWithCli, runIn, said } from './harness.ts';

const backend = {
  type: 'addBackend',
  name: 'main',
  endpoints: ['db1:5432'],
  username: 'admin',
  password: new Secret('marker-password'),
  maintenanceDatabase: 'postgres',
} as const;
const client = { type: 'addClient', name: 'orders', database: 'orders', backend: null, extraUserRoles: [] } as const;

/** With a backend and a client that is served. */
const withClient = async ({ held = false }: { readonly held?: boolean } = {}) => {
  const surroundings = await fleetWithCli({ held: true });
  const { fleet } = surroundings;
  await fleet.changeBehind(backend, 'test');
  await fleet.changeBehind(client, 'test');
  fleet.settle();
  fleet.isHeld = held;
  return surroundings;
};

describe('status', () => {
  it('shows what a person looks for, and as JSON everything that was answered', async () => {
    const { fleet, run } = await withClient();
    const { code, stdout, stderr } = await run('status');
    expect([code, stderr]).toEqual([0, '']);
    for (const text of ['pgbouncer/0*', 'pgbouncer/2', 'epoch 3', '127.0.0.12:6432', 'orders', 'main', '1.26.0', '2/2'])
      expect(stdout).toContain(text);
    expect(JSON.parse((await run('status', '--json')).stdout)).toEqual(fleet.status(0));
  });
});

it('flags of every verb may stand before it', async () => {
  const { run, socketOf } = await fleetWithCli();
  const after = await run('dsn', 'nobody', '--json', '--api', socketOf(0));
  expect(after.code).toBe(2);
  expect(await run('--json', '--api', socketOf(0), 'dsn', 'nobody')).toEqual(after);
  expect(JSON.parse((await run(`--api=${socketOf(0)}`, '--json', 'status')).stdout)).toMatchObject({
    schemaVersion: 1,
  });
  expect((await run('--json', '--help')).stdout).toContain('usage: troupe VERB');
});

describe('config', () => {
  it('without arguments lists every option, and what was set with its default', async () => {
    const { fleet, run } = await fleetWithCli();
    await fleet.changeBehind({ type: 'setOptions', options: { pool_mode: 'transaction' } }, 'test');
    const { stdout } = await run('config');
    expect(stdout).toMatch(/^OPTION +VALUE +DEFAULT +ABOUT/);
    expect(stdout).toMatch(/^pool_mode +transaction +session +\w/m);
    expect(stdout).toMatch(/^listen_port +6432 +\w/m);
    expect(JSON.parse((await run('config', '--json')).stdout)).toMatchObject({ version: 1 });
  });

  it('with a key prints its value and nothing else', async () => {
    const { run } = await fleetWithCli();
    expect(await run('config', 'listen_port')).toEqual({ code: 0, stdout: '6432\n', stderr: '' });
    expect(JSON.parse((await run('config', 'listen_port', '--json')).stdout)).toMatchObject({
      value: 6432,
      set: false,
    });
    expect((await run('config', 'listen_port', 'pool_mode')).stdout).toMatch(/^listen_port [^]*^pool_mode /m);
  });

  it('shows the difference and returns when every unit has verified it', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('config', 'pool_mode=transaction', 'max_db_connections=60');
    await said(started, 'waiting for pgbouncer/0 to publish it\n');
    fleet.publish();
    fleet.verify(0, 2);
    fleet.say(1, 'waits for its disk');
    await said(started, 'waiting for pgbouncer/1 (waiting: waits for its disk)\n');
    fleet.verify(1);
    const { code, stdout } = await started.ended;
    expect(code).toBe(0);
    expect(stdout).toBe(
      'pool_mode: session (default) → transaction\nmax_db_connections: 100 (default) → 60\ngeneration 1 is verified by every unit\n',
    );
    const [asked] = fleet.asked;
    expect(asked?.change).toEqual({
      type: 'setOptions',
      options: { pool_mode: 'transaction', max_db_connections: 60 },
    });
    expect(asked).toMatchObject({
      expected: 0,
      author: expect.stringMatching(new RegExp(`^${userInfo().username}@.+`)),
    });
  });

  it('does not return while the last unit lags', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('config', 'pool_mode=transaction');
    let isOver = false;
    void started.ended.finally(() => (isOver = true));
    await said(started, 'to publish it');
    fleet.publish();
    fleet.verify(0, 1);
    await said(started, 'waiting for pgbouncer/2\n');
    expect(isOver).toBe(false);
    fleet.verify(2);
    expect((await started.ended).code).toBe(0);
  });

  it('resets, and says so', async () => {
    const { fleet, run } = await fleetWithCli();
    await fleet.changeBehind({ type: 'setOptions', options: { pool_mode: 'transaction', query_timeout: 5 } }, 'test');
    const { code, stdout } = await run('config', '--reset', 'pool_mode,query_timeout');
    expect([code, stdout.split('\n').slice(0, 2)]).toEqual([
      0,
      ['pool_mode: transaction → session (default)', 'query_timeout: 5 → 0 (default)'],
    ]);
    expect(fleet.intent?.options).toEqual({});
  });

  it('that changes nothing says so, and is content when that is verified', async () => {
    const { fleet, run } = await fleetWithCli();
    await run('config', 'pool_mode=transaction');
    const { code, stdout } = await run('config', 'pool_mode=transaction');
    expect([code, stdout]).toEqual([
      0,
      'nothing to change: it is so already\ngeneration 1 is verified by every unit\n',
    ]);
    expect(fleet.intent?.version).toBe(1);
  });

  it('names the units that do not heed what is set, beside what was asked for and in the JSON', async () => {
    const { fleet, run } = await fleetWithCli();
    fleet.runs(1, '1.24.1', '1.24.1');
    fleet.runs(2, '1.26.0', '1.18.0');
    const sentence =
      'troupe: transaction_timeout is not heeded by pgbouncer/1 (PgBouncer 1.24.1), pgbouncer/2 (PgBouncer 1.18.0): it needs PgBouncer 1.25; install that or a newer one there, or take the option back (troupe config --reset transaction_timeout)\n';
    const units = [
      { unit: 'pgbouncer/1', version: '1.24.1' },
      { unit: 'pgbouncer/2', version: '1.18.0' },
    ];
    const unheeded = [{ key: 'transaction_timeout', needs: '1.25', units }];
    const json = async (...words: readonly string[]): Promise<unknown> => {
      const { code, stdout, stderr } = await run('config', ...words, '--json');
      expect([code, stderr]).toEqual([0, '']);
      return JSON.parse(stdout);
    };
    const changed = await run('config', 'transaction_timeout=5', 'query_timeout=5');
    expect(changed).toMatchObject({ code: 0, stderr: expect.stringContaining(sentence) });
    expect(await run('config')).toMatchObject({ code: 0, stderr: sentence });
    expect(await run('config', 'transaction_timeout')).toEqual({ code: 0, stdout: '5\n', stderr: sentence });
    expect(await run('config', 'query_timeout')).toMatchObject({ stderr: '' });
    expect(await json()).toMatchObject({ version: 1, unheeded });
    expect(await json('transaction_timeout')).toMatchObject({ value: 5, unheededBy: units });
    expect(await json('query_timeout', 'transaction_timeout')).toMatchObject([
      { unheededBy: [] },
      { unheededBy: units },
    ]);
    expect(await json('transaction_timeout=6')).toMatchObject({ outcome: 'accepted', unheeded });
    expect(await json('query_timeout=6')).toMatchObject({ outcome: 'accepted', unheeded: [] });
    expect(await json('--reset', 'transaction_timeout')).toMatchObject({ outcome: 'accepted', unheeded: [] });
    expect(await run('config')).toMatchObject({ stderr: '' });
  });

  it('with --no-wait returns when the change is kept', async () => {
    const { fleet, run } = await fleetWithCli({ held: true });
    const { code, stdout } = await run('config', 'pool_mode=transaction', '--no-wait', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      outcome: 'accepted',
      version: 1,
      changes: [{ key: 'pool_mode', before: 'session (default)', after: 'transaction' }],
      verified: null,
      away: [],
      unheeded: [],
    });
    expect(fleet.intent?.version).toBe(1);
  });

  it('ends with 4 and the reason when the fleet refuses it', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('config', 'pool_mode=transaction');
    await said(started, 'to publish it');
    fleet.publish();
    fleet.refuse('pgbouncer/1: invalid value in line 7');
    const { code, stderr } = await started.ended;
    expect(code).toBe(4);
    expect(stderr).toContain(
      'troupe: the fleet refused it: pgbouncer/1: invalid value in line 7; it stays on generation none\n',
    );
  });

  it('ends with 5 and those that lag when time is over', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('config', 'pool_mode=transaction', '--timeout', '0.6');
    await said(started, 'to publish it');
    fleet.publish();
    fleet.verify(0);
    fleet.say(2, 'waits for its disk');
    const { code, stderr } = await started.ended;
    expect(code).toBe(5);
    expect(stderr).toMatch(
      /troupe: kept, but not done within 0\.6 s: still waiting for pgbouncer\/1, pgbouncer\/2 \(waiting: waits for its disk\); /,
    );
  });

  it('ends with 5 and the missing leader when nobody leads', async () => {
    const surroundings = await fleetWithCli({ held: true });
    surroundings.fleet.leader = null;
    const { code, stderr } = await surroundings.run('config', 'pool_mode=transaction', '--timeout', '0.3');
    expect([code, stderr]).toEqual([5, expect.stringContaining('still waiting for a leader: nobody leads')]);
  });

  it('ends with 4 when somebody was faster, and changes nothing', async () => {
    const before = new MemoryFleet().seenFrom(0).options();
    const { fleet, run } = await fleetWithCli({ as: (seen) => ({ ...seen, options: () => before }) });
    await fleet.changeBehind({ type: 'setOptions', options: { query_timeout: 9 } }, 'mallory');
    const { code, stdout, stderr } = await run('config', 'pool_mode=transaction');
    expect([code, stdout]).toEqual([4, '']);
    expect(stderr).toContain('the intent is at version 1 by now, last changed by mallory at ');
    expect(stderr).toContain('query_timeout: default → 9');
    expect(fleet.intent?.options).toEqual({ query_timeout: 9 });
  });

  it('ends with 1 when nobody knows whether it was kept, and 4 when the options are not known yet', async () => {
    const { fleet, run } = await fleetWithCli();
    fleet.failNextChange('the backplane did not answer');
    expect(await run('config', 'pool_mode=transaction')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'troupe: the backplane did not answer\n',
    });
    fleet.isRead = false;
    expect(await run('config')).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringContaining('not been read yet'),
    });
  });
});

describe('integrate backend', () => {
  const flags = ['--endpoints', 'db1:5432,[::1]:5433', '--username', 'admin'];
  let file = '';
  beforeEach(async () => {
    file = join(await temporaryDirectory(), 'password');
    await writeFile(file, 'marker-password\n', { mode: 0o600 });
  });

  it('returns when the backend is reached, and shows its password nowhere', async () => {
    const { fleet, run, apis } = await fleetWithCli();
    const { code, stdout, stderr } = await run('integrate', 'backend', 'main', ...flags, '--password-file', file);
    expect([code, stdout]).toEqual([0, 'backend main is reached\n']);
    expect(fleet.intent?.backends['main']).toMatchObject({
      endpoints: ['db1:5432', '[::1]:5433'],
      username: 'admin',
      maintenanceDatabase: 'postgres',
    });
    expect(fleet.intent?.backends['main']?.password.reveal()).toBe('marker-password');
    expect(stdout + stderr + JSON.stringify(apis.map(({ lines }) => lines))).not.toContain('marker-password');
  });

  it('accepts another cluster by its system identifier, and keeps that until another one is accepted', async () => {
    const { fleet, run } = await fleetWithCli();
    const to = (...more: readonly string[]) =>
      run('integrate', 'backend', 'main', ...flags, '--password-file', file, ...more);
    expect((await to('--accept-cluster', 'x')).stderr).toMatch(/"x" is no system identifier/);
    expect((await to('--accept-cluster', '7712453796065278715')).code).toBe(0);
    expect(fleet.intent?.backends['main']?.cluster).toBe('7712453796065278715');
    await to();
    expect(fleet.intent?.backends['main']?.cluster).toBe('7712453796065278715');
  });

  it('takes the password from standard input', async () => {
    const { fleet, runDir } = await fleetWithCli();
    const words = [
      'integrate',
      'backend',
      'main',
      ...flags,
      '--password-file',
      '-',
      '--maintenance-database',
      'admin',
      '--json',
    ];
    const { code, stdout } = await runIn({ runDir, stdin: 'from stdin\r\n' }, ...words);
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      { outcome: 'accepted', version: 1, relation: fleet.status(0).relations[0] },
    ]);
    expect(fleet.intent?.backends['main']?.password.reveal()).toBe('from stdin');
    expect(fleet.intent?.backends['main']?.maintenanceDatabase).toBe('admin');
  });

  it('ends with 4 when a new one is blocked, in the words of PostgreSQL', async () => {
    const blocked = { state: 'blocked', message: 'password authentication failed' } as const;
    const withBlocked = (status: FleetStatus): FleetStatus => ({
      ...status,
      relations: status.relations.map((relation) => ({ ...relation, ...blocked })),
    });
    const { run } = await fleetWithCli({
      held: true,
      as: (seen) => ({ ...seen, status: () => withBlocked(seen.status()) }),
    });
    const { code, stderr } = await run('integrate', 'backend', 'main', ...flags, '--password-file', file);
    expect([code, stderr]).toEqual([
      4,
      'troupe: backend main is kept, but it is blocked: password authentication failed\n',
    ]);
  });
});

describe('integrate client', () => {
  it('returns when the credentials are there, without the password', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    await fleet.changeBehind(backend, 'test');
    const started = start('integrate', 'client', 'orders', '--database', 'orders', '--roles', 'createrole,createdb');
    await said(started, 'waiting for the credentials of client orders (its login is being made)');
    fleet.publish();
    fleet.verify(0, 1, 2);
    fleet.serve();
    const { code, stdout, stderr } = await started.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^client orders has database orders, as pgbouncer_orders_2, at 127\.0\.0\.11:6432, /);
    expect(stdout + stderr).not.toContain('s3cret');
    expect(fleet.intent?.clients['orders']?.extraUserRoles).toEqual(['createdb', 'createrole']);
  });

  it('is content when it was so before', async () => {
    const { run } = await withClient();
    const { code, stdout } = await run('integrate', 'client', 'orders', '--database', 'orders', '--json');
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { outcome: 'unchanged', username: 'pgbouncer_orders_2' }]);
    expect(stdout).not.toContain('s3cret');
  });

  it('gives a client that is there other settings, and returns when every unit has verified them', async () => {
    const { fleet, run } = await withClient();
    const flags = ['--pool-mode', 'session', '--budget', '10', '--query-timeout', '0', '--query-wait-timeout', '5'];
    expect(await run('integrate', 'client', 'orders', '--database', 'orders', ...flags)).toMatchObject({ code: 0 });
    expect(fleet.intent?.clients['orders']).toMatchObject({
      poolMode: 'session',
      budget: 10,
      timeouts: { queryTimeout: 0, queryWaitTimeout: 5 },
    });
    const back = ['--pool-mode', 'default', '--query-timeout', 'default'];
    expect(await run('integrate', 'client', 'orders', '--database', 'orders', ...back)).toMatchObject({ code: 0 });
    expect(fleet.intent?.clients['orders']).toMatchObject({
      poolMode: null,
      budget: 10,
      timeouts: { queryWaitTimeout: 5 },
    });
  });

  it.each([
    ['--pool-mode', 'sometimes', 'session, transaction, statement or default'],
    ['--budget', '010', 'plain decimal digits'],
    ['--budget', '99999999', 'from 0 to 262143'],
    ['--query-timeout', '5s', 'whole seconds'],
  ])('refuses %s %s', async (flag, value, words) => {
    const { fleet, run } = await withClient();
    const version = fleet.intent?.version;
    const { code, stderr } = await run('integrate', 'client', 'orders', '--database', 'orders', flag, value);
    expect([code, stderr]).toEqual([2, expect.stringContaining(words)]);
    expect(fleet.intent?.version).toBe(version);
  });

  it('ends with 5 and what is waited for when time is over', async () => {
    const { fleet, run } = await fleetWithCli({ held: true });
    await fleet.changeBehind(backend, 'test');
    const { code, stderr } = await run('integrate', 'client', 'orders', '--database', 'orders', '--timeout', '0.3');
    expect([code, stderr]).toEqual([
      5,
      expect.stringContaining('credentials of client orders (its login is being made)'),
    ]);
    expect(fleet.intent?.clients['orders']).toBeDefined();
  });

  it('ends with 4 when there is no backend to put it on, or when the name means something else', async () => {
    const { run } = await fleetWithCli();
    expect(await run('integrate', 'client', 'orders', '--database', 'orders')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('there is no backend yet'),
    });
    const second = await withClient();
    const { code, stderr } = await second.run('integrate', 'client', 'orders', '--database', 'other');
    expect([code, stderr]).toEqual([4, expect.stringContaining('remove it first')]);
  });
});

describe('remove-relation', () => {
  it('returns when the relation is gone, and says that the database stays', async () => {
    const { fleet, start } = await withClient({ held: true });
    const started = start('remove-relation', 'orders');
    await said(started, 'waiting for the removal of orders (its login is being removed)');
    expect(fleet.status(0).relations.find(({ name }) => name === 'orders')?.life).toBe('dying');
    fleet.bury();
    const { code, stdout } = await started.ended;
    expect([code, stdout]).toEqual([
      0,
      'orders is removed: its login is gone, database orders stays in PostgreSQL with everything in it\n',
    ]);
  });

  it('asked again waits on, and ends with 5 as long as PostgreSQL does not confirm', async () => {
    const { fleet, run, start } = await withClient({ held: true });
    expect((await run('remove-relation', 'orders', '--no-wait')).code).toBe(0);
    const late = await run('remove-relation', 'orders', '--timeout', '0.3');
    expect([late.code, late.stderr]).toEqual([
      5,
      expect.stringContaining('the removal of orders (its login is being removed)'),
    ]);
    const started = start('remove-relation', 'orders', '--json');
    await said(started, 'waiting for');
    fleet.bury();
    expect(JSON.parse((await started.ended).stdout)).toMatchObject({ removed: 'orders', databaseKept: 'orders' });
    expect(fleet.asked.filter(({ change }) => change.type === 'removeRelation')).toHaveLength(1);
  });

  it('does not take a unit that has not heard of it for one that is done', async () => {
    let isStale = true;
    const { fleet, start } = await fleetWithCli({
      held: true,
      as: (seen) => ({
        ...seen,
        status: () => (isStale ? { ...seen.status(), intent: null, relations: [] } : seen.status()),
        onStatus: (changed) => seen.onStatus(() => changed(seen.status())),
      }),
    });
    await fleet.changeBehind(backend, 'test');
    await fleet.changeBehind(client, 'test');
    fleet.serve();
    const started = start('remove-relation', 'orders');
    await said(started, 'waiting for the unit to read the change');
    isStale = false;
    fleet.changed();
    await said(started, 'waiting for the removal of orders');
    fleet.bury();
    expect((await started.ended).code).toBe(0);
  });

  it('of a backend that is in use is refused', async () => {
    const { run } = await withClient();
    const { code, stderr } = await run('remove-relation', 'main');
    expect([code, stderr]).toEqual([4, expect.stringContaining('backend "main" still serves "orders"')]);
  });

  it('of a backend touches nothing in PostgreSQL', async () => {
    const { fleet, run } = await fleetWithCli();
    await fleet.changeBehind(backend, 'test');
    const { code, stdout } = await run('remove-relation', 'main');
    expect([code, stdout]).toEqual([0, 'main is removed; nothing was changed in PostgreSQL\n']);
  });
});

describe('dsn', () => {
  it('is a URI with all endpoints, or with those of one unit', async () => {
    const { run } = await withClient();
    const uri = (hosts: string) => `postgresql://pgbouncer_orders_2:s3cret@${hosts}/orders\n`;
    expect(await run('dsn', 'orders')).toEqual({
      code: 0,
      stdout: uri('127.0.0.11:6432,127.0.0.12:6432,127.0.0.13:6432'),
      stderr: '',
    });
    for (const host of ['127.0.0.12', '127.0.0.12:6432', 'pgbouncer/1'])
      expect((await run('dsn', 'orders', '--host', host)).stdout).toBe(uri('127.0.0.12:6432'));
  });

  it('is a set of variables, or JSON', async () => {
    const { run } = await withClient();
    expect((await run('dsn', 'orders', '--format', 'env', '--host', 'pgbouncer/0')).stdout).toBe(
      'PGHOST=127.0.0.11\nPGPORT=6432\nPGDATABASE=orders\nPGUSER=pgbouncer_orders_2\nPGPASSWORD=s3cret\n',
    );
    const { stdout } = await run('dsn', 'orders', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      client: 'orders',
      password: 's3cret',
      uri: expect.stringContaining('@127'),
    });
    expect((await run('dsn', 'orders', '--format', 'json')).stdout).toBe(stdout);
  });

  it('leads to standbys under a name of its own, and is refused with 4 while none is there', async () => {
    const { fleet, run } = await withClient();
    const { code, stdout, stderr } = await run('dsn', 'orders', '--read-only');
    expect([code, stdout]).toEqual([4, '']);
    expect(stderr).toMatch(/^troupe: client "orders" cannot be read from standbys: .*read_only_fallback=primary\n$/);
    fleet.readable = true;
    expect((await run('dsn', 'orders', '--read-only', '--host', 'pgbouncer/1')).stdout).toBe(
      'postgresql://pgbouncer_orders_2:s3cret@127.0.0.12:6432/orders_readonly\n',
    );
    expect((await run('dsn', 'orders', '--read-only', '--format', 'env', '--host', 'pgbouncer/0')).stdout).toContain(
      'PGDATABASE=orders_readonly\n',
    );
  });

  it('ends with 4 while there are no credentials yet', async () => {
    const { fleet, run } = await fleetWithCli({ held: true });
    await fleet.changeBehind(backend, 'test');
    await fleet.changeBehind(client, 'test');
    const { code, stdout, stderr } = await run('dsn', 'orders');
    expect([code, stdout, stderr]).toEqual([4, '', 'troupe: client "orders" has no credentials yet\n']);
  });
});

describe('show-unit', () => {
  it('shows one unit in depth, by name or number', async () => {
    const { fleet, run } = await withClient();
    fleet.say(1, 'waits for its disk');
    const { code, stdout } = await run('show-unit', 'pgbouncer/1');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^status +waiting$/m);
    expect(stdout).toMatch(/^2 +202 +serving +1\.26\.0$/m);
    expect(stdout).toMatch(/^pgbouncer\/1: waiting for \w+ on test \(test\)\n  waits for its disk$/m);
    expect((await run('show-unit', '1')).stdout.split('\n')[0]).toBe(stdout.split('\n')[0]);
    expect(JSON.parse((await run('show-unit', '1', '--json')).stdout)).toEqual({
      answeredBy: 'pgbouncer/0',
      unit: fleet.status(0).units[1],
    });
  });

  it('asks that unit itself for its pools, and does without them when it cannot', async () => {
    const { run } = await fleetWithCli({ units: [0, 1] });
    const { stdout, stderr } = await run('show-unit', '1');
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^1 +201 +serving +1\.26\.0 +4 +7$/m);
    expect(stdout).toMatch(/^2 +202 +serving +1\.26\.0 +0 +0$/m);
    expect(stdout).toMatch(/^orders +u +1 +transaction +3 +1 +1500 ms +3 +4$/m);
    const away = await run('show-unit', '2');
    expect([away.code, away.stderr]).toEqual([
      0,
      expect.stringMatching(/^troupe: pools and decisions of pgbouncer\/2 are known to it alone, .*--api.*\n$/),
    ]);
    expect(away.stdout).toMatch(/^1 +301 +serving +1\.26\.0$/m);
  });

  it('with --trace asks that unit itself', async () => {
    const { run } = await fleetWithCli({ units: [0, 1] });
    const { code, stdout } = await run('show-unit', '1', '--trace', '--json');
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { answeredBy: 'pgbouncer/1', trace: [{ actor: 'config' }] }]);
    expect((await run('show-unit', '1', '--trace')).stdout).toMatch(
      /^1 +2026-11-24T.* +config +observed +workload:generationTold +publish$/m,
    );
    const away = await run('show-unit', '2', '--trace');
    expect([away.code, away.stderr]).toEqual([
      3,
      expect.stringContaining(
        'pools and decisions of pgbouncer/2 are known to it alone, and it does not tell them here',
      ),
    ]);
  });
});

describe('ready', () => {
  it('tells by its exit code whether clients may be sent to the unit', async () => {
    const yet = await (await fleetWithCli()).run('ready');
    const reason = 'pgbouncer/0 is not ready: no generation has been verified here yet';
    expect(yet).toEqual({ code: 1, stdout: '', stderr: `troupe: ${reason}\n` });
    const { run } = await withClient();
    expect(await run('ready')).toEqual({ code: 0, stdout: 'pgbouncer/0 is ready\n', stderr: '' });
    expect(JSON.parse((await run('ready', '--json')).stdout)).toMatchObject({ ok: true, unit: 'pgbouncer/0' });
  });

  it('says when there is no unit to ask', async () => {
    const { run, apis } = await fleetWithCli();
    await apis[0]?.[Symbol.asyncDispose]();
    expect((await run('ready')).code).toBe(3);
  });
});

describe('remove-unit', () => {
  it('returns when the unit is gone from the roster', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('remove-unit', 'pgbouncer/2');
    await said(started, 'waiting for pgbouncer/2 to leave (active)\n');
    fleet.depart();
    expect(await started.ended).toMatchObject({
      code: 0,
      stdout: 'pgbouncer/2 is gone from the roster: its number and its share of the connections are free\n',
    });
    expect(fleet.status(0).units.map(({ number }) => number)).toEqual([0, 1]);
  });

  it('hears from the unit itself that it ends, when that is the one it asks', async () => {
    const { fleet, start, apis } = await fleetWithCli({ held: true, units: [1] });
    const started = start('remove-unit', '1');
    await said(started, 'waiting for pgbouncer/1 to leave');
    fleet.place(1, 'down');
    fleet.farewell(1);
    await apis[0]?.[Symbol.asyncDispose]();
    expect(await started.ended).toMatchObject({ code: 0, stdout: expect.stringContaining('pgbouncer/1 is gone') });
  });

  it('says so when another life of the unit has joined since', async () => {
    const { fleet, start } = await fleetWithCli({ held: true });
    const started = start('remove-unit', '2', '--json');
    await said(started, 'to leave');
    fleet.restart(2);
    const { code, stdout } = await started.ended;
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      { outcome: 'accepted', version: 1, unit: 'pgbouncer/2', removed: true, again: true },
    ]);
  });

  it('ends with 4 for a silent unit and for the last one, until it is forced', async () => {
    const { fleet, run } = await fleetWithCli({ held: true });
    fleet.place(1, 'silent');
    fleet.place(2, 'down');
    for (const [number, says] of [
      ['1', 'its PgBouncers may well serve'],
      ['0', 'the last unit that serves'],
    ] as const) {
      const { code, stdout, stderr } = await run('remove-unit', number);
      expect([code, stdout]).toEqual([4, '']);
      expect(stderr).toMatch(new RegExp(`^troupe: pgbouncer/${number} is .*${says}.*ask with --force.*\\n$`));
    }
    expect(fleet.intent).toBe(null);
    expect(await run('remove-unit', '1', '--force', '--no-wait')).toMatchObject({ code: 0 });
    expect(await run('remove-unit', '0', '--force')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('nobody to confirm'),
    });
  });

  it('ends with 2 for a unit that is not there, and with 5 when it does not leave in time', async () => {
    const { fleet, run } = await fleetWithCli({ held: true });
    expect(await run('remove-unit', '7')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('there is no unit pgbouncer/7'),
    });
    fleet.say(2, 'drains its clients');
    expect(await run('remove-unit', '2', '--timeout', '0.3')).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('still waiting for pgbouncer/2 to leave (drains its clients)'),
    });
  });
});
