import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DatabaseSpec, FleetSpec } from '../../../src/actors/model/fleet-spec.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { Layout } from '../../../src/actors/model/workload.ts';
import { completeOptions } from '../../../src/pgbouncer/catalogue.ts';
import { Unwritable } from '../../../src/pgbouncer/dialect.ts';
import { dryRunCopy } from '../../../src/pgbouncer/dry-run.ts';
import { databasesIn, listenPortOf, settingsIn, usersIn } from '../../../src/pgbouncer/ini.ts';
import { canaryOf, render } from '../../../src/pgbouncer/render.ts';
import { canaryOfLast } from '../../../src/pgbouncer/show.ts';
import { tlsFilesIn } from '../../../src/pgbouncer/tls.ts';
import { type Release, versionOf } from '../../../src/pgbouncer/version.ts';
import { generation, publishedOf, specOf, unit, userOf } from '../../support/builders.ts';

const layoutOf = (instances: number): Layout => ({
  listenAddress: '127.0.0.11',
  authFile: '/state/userlist.txt',
  retiring: [],
  probe: { username: 'troupe_probe', verifier: new Secret('SCRAM-SHA-256$probe') },
  instances: Array.from({ length: instances }, (_, index) => ({
    id: index + 1,
    ini: `/state/${index + 1}/pgbouncer.ini`,
    socketDir: `/run/${index + 1}`,
  })),
});
const database = (name: string, changes: Partial<DatabaseSpec> = {}): DatabaseSpec => ({
  name,
  database: name,
  backend: 'main',
  host: '10.0.0.5',
  port: 5432,
  maxConnections: 20,
  readOnly: false,
  ...changes,
});
const fleet = (changes: Partial<FleetSpec> = {}): FleetSpec =>
  specOf({
    options: completeOptions({}),
    databases: [database('orders')],
    users: [userOf('zoe', 'SCRAM-SHA-256$zoe')],
    slots: [
      { unit: unit(0), instances: 2 },
      { unit: unit(1), instances: 1 },
    ],
    ...changes,
  });
const filesOf = (spec: FleetSpec, version: Release = '1.24.1', instances = 2, number = 0) =>
  render(spec, unit(number), layoutOf(instances), versionOf(version), 'troupe-7-abc');
const iniOf = (...of: Parameters<typeof filesOf>): string => filesOf(...of).instances[0]?.ini ?? '';
const sectionIn = (ini: string, name: string): string =>
  ini.split(/^(?=\[)/m).find((part) => part.startsWith(`[${name}]`)) ?? '';
const sharesIn = ({ instances }: ReturnType<typeof filesOf>, name = 'orders') =>
  instances.map(({ ini }) => {
    const pairs = databasesIn(ini).get(name);
    const [pool, limit] = [pairs?.get('pool_size'), pairs?.get('max_db_connections')];
    expect(pool).toBe(limit);
    return limit === undefined ? null : Number(limit);
  });

describe('TLS for clients', () => {
  const material = { key: new Secret('k'), certificate: 'c', authorities: 'a' };
  const withTls = (certificate: string) => {
    const layout = { ...layoutOf(2), tls: tlsFilesIn('/state/tls', { ...material, certificate }) };
    return render(fleet(), unit(0), layout, versionOf('1.18.0'), 'troupe-7-abc');
  };
  const settingsOf = ({ instances }: ReturnType<typeof withTls>) =>
    [...settingsIn(instances[1]?.ini ?? '')].filter(([key]) => key.startsWith('client_tls_'));

  it('is off where the unit has no certificate', () => {
    expect(settingsOf(filesOf(fleet()))).toEqual([['client_tls_sslmode', 'disable']]);
    expect(filesOf(fleet()).tls).toBeNull();
  });

  it('is offered with files that are named after what they hold', () => {
    const files = withTls('c');
    const directory = files.tls?.directory ?? '';
    expect(directory).toMatch(/^\/state\/tls\/[0-9a-f]{16}$/);
    expect(settingsOf(files)).toEqual([
      ['client_tls_sslmode', 'prefer'],
      ['client_tls_key_file', `${directory}/key.pem`],
      ['client_tls_cert_file', `${directory}/certificate.pem`],
      ['client_tls_ca_file', `${directory}/authorities.pem`],
    ]);
    expect(withTls('c').instances).toEqual(files.instances);
    expect(withTls('d').tls?.directory).not.toBe(directory);
    expect(JSON.stringify(files)).not.toContain('"k"');
  });
});

describe('logins that are looked up', () => {
  const asked = fleet({
    databases: [database('orders', { lookup: 'asker' }), database('plain')],
    users: [userOf('asker', 'password')],
  });

  it('are asked for where a database says by whom, schema-qualified, in every version alike', () => {
    for (const version of ['1.18.0', '1.24.1', '1.26.1'] as const) {
      const ini = iniOf(asked, version);
      expect(settingsIn(ini).get('auth_query')).toBe('SELECT username, secret FROM troupe.lookup($1)');
      expect(databasesIn(ini).get('orders')?.get('auth_user')).toBe('asker');
      expect(databasesIn(ini).get('plain')?.has('auth_user')).toBe(false);
    }
    expect(filesOf(asked).authFile.reveal()).toContain('"asker" "password"');
    expect(settingsIn(iniOf(fleet())).has('auth_query')).toBe(false);
  });

  it('are not cut off for want of a line of their own', () => {
    const idle = (spec: FleetSpec) => settingsIn(iniOf(spec)).get('client_idle_timeout');
    expect(idle(fleet())).toBe('0');
    expect(Number(idle(asked))).toBeGreaterThan(30_000_000);
    expect(idle({ ...asked, options: completeOptions({ client_idle_timeout: 60 }) })).toBe('60');
  });
});

describe('rendered files', () => {
  it('have the sections and keys in the order that a bad line does least harm in', () => {
    const ini = iniOf(fleet());
    expect([...ini.matchAll(/^\[(\w+)\]$/gm)].map(([, name]) => name)).toEqual([
      'databases',
      'users',
      'peers',
      'pgbouncer',
    ]);
    const keys = [...settingsIn(ini).keys()];
    expect(keys.slice(0, 4)).toEqual(['admin_users', 'stats_users', 'auth_type', 'auth_file']);
    expect(keys.at(-1)).toBe('syslog_ident');
    expect(ini.trimEnd().split('\n').at(-1)).toMatch(/^syslog_ident = troupe-7-abc\/[0-9a-f]{12}$/);
    expect(listenPortOf(ini)).toBe(6432);
    expect(filesOf(fleet({ options: {} })).listenPort).toBe(6432);
  });

  it('hold what every instance needs, and nothing that could end it', () => {
    const settings = settingsIn(iniOf(fleet()));
    expect(Object.fromEntries(settings)).toMatchObject({
      admin_users: '',
      stats_users: 'troupe_probe',
      auth_type: 'scram-sha-256',
      auth_file: '/state/userlist.txt',
      listen_addr: '127.0.0.11',
      unix_socket_dir: '/run/1',
      unix_socket_mode: '0700',
      so_reuseport: '1',
      peer_id: '1',
      tcp_defer_accept: '0',
      server_login_retry: '1',
      server_tls_sslmode: 'prefer',
      max_client_conn: '10000',
      min_pool_size: '0',
      reserve_pool_size: '0',
      verbose: '0',
    });
    for (const key of ['logfile', 'pidfile', 'user', 'max_db_connections', 'suspend_timeout'])
      expect(settings.has(key)).toBe(false);
  });

  it('give a login rights on consoles that are out of reach otherwise, at addresses of their own and by rules', () => {
    const verifier = new Secret('SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:Y29uc29sZQ==');
    const plain = layoutOf(2);
    const layout: Layout = {
      ...plain,
      console: { username: 'troupe_console', verifier, rulesFile: '/state/hba.conf' },
      instances: plain.instances.map((instance) => ({ ...instance, consoleAddress: `127.0.1.${instance.id}` })),
    };
    const { authFile, instances } = render(fleet(), unit(0), layout, versionOf('1.24.1'), 'troupe-7-abc');
    const settings = instances.map(({ ini }) => settingsIn(ini));
    expect([...(settings[0]?.keys() ?? [])].slice(0, 4)).toEqual([
      'admin_users',
      'stats_users',
      'auth_type',
      'auth_hba_file',
    ]);
    expect(Object.fromEntries(settings[0] ?? [])).toMatchObject({
      admin_users: 'troupe_console',
      stats_users: 'troupe_probe',
      auth_type: 'hba',
      auth_hba_file: '/state/hba.conf',
    });
    expect(settings.map((one) => one.get('listen_addr'))).toEqual(['127.0.0.11,127.0.1.1', '127.0.0.11,127.0.1.2']);
    expect(authFile.reveal()).toContain(`"troupe_console" "${verifier.reveal()}"`);
    expect(filesOf(fleet()).authFile.reveal()).not.toContain('troupe_console');
  });

  it('are the same bytes whatever order things were told in', () => {
    const databases = [database('b'), database('a'), database('C')];
    const users = [...fleet().users, userOf('adam', 'x')];
    const { options } = fleet();
    const one = filesOf(fleet({ databases, users }));
    const other = filesOf(
      fleet({
        databases: databases.toReversed(),
        users: users.toReversed(),
        options: Object.fromEntries(Object.entries(options).toReversed()),
      }),
    );
    expect(other.instances).toEqual(one.instances);
    expect(other.authFile.reveal()).toBe(one.authFile.reveal());
    expect(one.authFile.reveal()).toBe('"adam" "x"\n"troupe_probe" "SCRAM-SHA-256$probe"\n"zoe" "SCRAM-SHA-256$zoe"\n');
  });

  it('hold no secret but in the auth file', () => {
    const { instances } = filesOf(fleet());
    for (const { ini } of instances) expect(ini).not.toContain('SCRAM-SHA-256$');
  });

  it('tell instances apart by their place only', () => {
    const [one = '', two = ''] = filesOf(fleet({ databases: [database('free', { maxConnections: 0 })] })).instances.map(
      ({ ini }) => ini,
    );
    expect(dryRunCopy(two)).toBe(dryRunCopy(one));
    expect(two).not.toBe(one);
    expect(one).toContain("[peers]\n1 = host='/run/1' port=6432\n2 = host='/run/2' port=6432\n");
  });

  it('name every setting that the version knows, and none that it does not', () => {
    const keysOf = (version: Release) => new Set(settingsIn(iniOf(fleet(), version)).keys());
    const since = (older: Release, newer: Release) => [...keysOf(newer).difference(keysOf(older))].toSorted();
    expect(since('1.18.0', '1.19.0')).toEqual(['cancel_wait_timeout', 'peer_id']);
    expect(since('1.19.0', '1.21.0')).toEqual(['max_prepared_statements', 'track_extra_parameters']);
    expect(since('1.21.0', '1.24.1')).toEqual([]);
    expect(since('1.24.1', '1.25.0')).toEqual(['query_wait_notify', 'transaction_timeout']);
    expect(since('1.25.0', '1.26.1')).toEqual(['login_notify_message', 'pool_idle_timeout']);
    expect(keysOf('1.18.0').difference(keysOf('1.26.1')).size).toBe(0);
    expect(iniOf(fleet(), '1.18.0')).not.toContain('[peers]');
  });

  it('ignore startup parameters only where no stranger can use it', () => {
    const ignored = (version: Release) => settingsIn(iniOf(fleet(), version)).get('ignore_startup_parameters');
    expect(['1.18.0', '1.19.1', '1.26.1', '1.27.0'].map((version) => ignored(version as Release))).toEqual(
      Array.from({ length: 4 }, () => 'extra_float_digits,options'),
    );
    expect(['1.20.0', '1.24.1', '1.25.2', '1.26.0'].map((version) => ignored(version as Release))).toEqual([
      '',
      '',
      '',
      '',
    ]);
  });

  it('write options as PgBouncer takes them', () => {
    const given = {
      pool_mode: 'transaction',
      log_stats: true,
      log_connections: false,
      query_timeout: 1.5,
      of_tomorrow: 1,
    };
    const settings = settingsIn(iniOf(fleet({ options: { ...fleet().options, ...given } })));
    expect(Object.fromEntries(settings)).toMatchObject({
      pool_mode: 'transaction',
      log_stats: '1',
      log_connections: '0',
      query_timeout: '1.5',
    });
    expect(settings.has('of_tomorrow')).toBe(false);
  });

  it('throw for a spec that no file can say, naming it', () => {
    expect(() => filesOf(fleet({ databases: [database('a b')] }))).toThrow(Unwritable);
    expect(() => filesOf(fleet({ databases: [database('a', { host: 'x\ny' })] }))).toThrow(/cannot write host/);
    expect(() => filesOf(fleet({ users: [userOf('a\nb', 's3cret')] }))).toThrow(/cannot write the user/);
    expect(() => filesOf(fleet({ users: [userOf('a', 's3\ncret')] }))).toThrow(/^(?!.*s3)/);
  });

  it('carry the canary of their generation', () => {
    const digest = '0123456789abcdef'.repeat(4);
    expect(canaryOf({ ...publishedOf({ generation: generation(42) }), digest: digest as never })).toBe(
      'troupe-42-0123456789ab',
    );
  });
});

describe('the last line of a file', () => {
  const last = (files: ReturnType<typeof filesOf>) => settingsIn(files.instances[0]?.ini ?? '').get('syslog_ident');

  it('differs whenever the files do, also within a generation', () => {
    const all = [
      filesOf(fleet()),
      filesOf(fleet({ users: [] })),
      filesOf(fleet({ databases: [database('orders', { host: 'b' })] })),
      filesOf(fleet(), '1.25.0'),
      filesOf(fleet(), '1.24.1', 3),
      filesOf(fleet({ options: completeOptions({ query_timeout: 1 }) })),
    ].map(last);
    expect(new Set(all).size).toBe(all.length);
    expect(last(filesOf(fleet()))).toBe(all[0]);
  });

  it('begins with the canary', () => {
    expect(all('troupe-7-abc')).toBe('troupe-7-abc');
    expect(all('gen/1')).toBe('gen/1');
  });
  const all = (canary: string) =>
    canaryOfLast(last(render(fleet(), unit(0), layoutOf(1), versionOf('1.24.1'), canary)) ?? '');
});

describe('the budget in rendered files', () => {
  it('is the share of each instance, for pool and limit alike', () => {
    expect(sharesIn(filesOf(fleet()))).toEqual([7, 7]);
    expect(sharesIn(filesOf(fleet(), '1.24.1', 1, 1))).toEqual([6]);
  });

  it('is no limit when there is none', () => {
    const ini = iniOf(fleet({ databases: [database('orders', { maxConnections: 0 })] }));
    expect(ini).toContain("orders = host='10.0.0.5' port=5432 dbname='orders'\n");
    expect(settingsIn(ini).get('default_pool_size')).toBe('20');
  });

  it('of a login is shared like that of a database', () => {
    const files = filesOf(fleet({ users: [userOf('zoe', 'x', { maxConnections: 20 })] }));
    const limits = files.instances.map(({ ini }) => usersIn(ini).get('zoe')?.get('max_user_connections'));
    expect(limits).toEqual(['7', '7']);
    const without = filesOf(fleet({ users: [userOf('zoe', 'x', { maxConnections: 2 })] }), '1.24.1', 1, 1);
    expect(usersIn(without.instances[0]?.ini ?? '').has('zoe')).toBe(false);
    expect(without.authFile.reveal()).not.toContain('zoe');
    expect(files.authFile.reveal()).toContain('zoe');
    expect(usersIn(iniOf(fleet())).get('zoe')?.get('max_user_connections')).toBe('0');
  });

  it('of a unit goes to the instances it has, also when the spec knows of more or fewer', () => {
    expect(sharesIn(filesOf(fleet(), '1.24.1', 4))).toEqual([4, 4, 3, 3]);
    expect(sharesIn(filesOf(fleet(), '1.24.1', 1))).toEqual([14]);
  });

  it('of nothing leaves the database out, because 0 would be no limit', () => {
    expect(sharesIn(filesOf(fleet(), '1.24.1', 2, 9))).toEqual([null, null]);
    const small = fleet({ databases: [database('orders', { maxConnections: 2 }), database('other')] });
    expect(sharesIn(filesOf(small, '1.24.1', 1, 1))).toEqual([null]);
    expect(sharesIn(filesOf(small, '1.24.1', 1, 1), 'other')).toEqual([6]);
  });

  it('of a unit that has more instances than connections has fewer of them serve, since all answer at one address', () => {
    const files = filesOf(fleet(), '1.24.1', 8, 1);
    expect(files.instances.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(sharesIn(files)).toEqual([1, 1, 1, 1, 1, 1]);
    const peers = sectionIn(files.instances[0]?.ini ?? '', 'peers');
    expect(peers.split('\n').filter((line) => line.includes('='))).toHaveLength(6);
  });

  it('is what the unit was granted while shares move', () => {
    const moving = (granted: number) =>
      fleet({ holdings: [{ of: 'database', name: 'orders', unit: unit(0), granted, reserved: null }] });
    expect(sharesIn(filesOf(moving(9)))).toEqual([5, 4]);
    expect(sharesIn(filesOf(moving(0)))).toEqual([null, null]);
    expect(sharesIn(filesOf(moving(9), '1.24.1', 1, 1))).toEqual([6]);
  });

  it('is less by what instances of an earlier life still hold, and never less than one', () => {
    const files = (connections: number) =>
      render(
        fleet(),
        unit(0),
        { ...layoutOf(2), retiring: [{ of: 'database', name: 'orders', connections }] },
        versionOf('1.24.1'),
        'c',
      );
    expect(sharesIn(files(7))).toEqual([4, 3]);
    expect(sharesIn(files(14))).toEqual([1, 1]);
  });

  it('is used to the last connection and not beyond, over all files of a fleet', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: 200 }),
        (counts, spare) => {
          const slots = counts.map((instances, number) => ({ unit: unit(number), instances }));
          const maxConnections = counts.reduce((a, b) => a + b, spare);
          const spec = fleet({ slots, databases: [database('orders', { maxConnections })] });
          const shares = slots.flatMap(({ instances }, number) => sharesIn(filesOf(spec, '1.26.1', instances, number)));
          expect(shares.reduce((a, b) => (a ?? 0) + (b ?? 0), 0)).toBe(maxConnections);
        },
      ),
      { numRuns: 50 },
    );
  });
});
