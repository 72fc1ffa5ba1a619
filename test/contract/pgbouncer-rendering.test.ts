import fc from 'fast-check';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import type { DatabaseSpec, FleetSpec } from '../../src/actors/model/fleet-spec.ts';
import type { Options, OptionValue } from '../../src/actors/model/intent.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { checkOptions, completeOptions, optionOf, unheededOptions } from '../../src/pgbouncer/catalogue.ts';
import { readDryRun } from '../../src/pgbouncer/dry-run.ts';
import { settingsIn } from '../../src/pgbouncer/ini.ts';
import { options as catalogue, type OptionEntry } from '../../src/pgbouncer/options.ts';
import { takesRestart } from '../../src/pgbouncer/plan.ts';
import { render } from '../../src/pgbouncer/render.ts';
import { whyReserved } from '../../src/pgbouncer/reserved.ts';
import { canaryIn, isPaused, settingsShown, versionIn } from '../../src/pgbouncer/show.ts';
import { configMismatches, settingsAmiss, type Shown } from '../../src/pgbouncer/verify.ts';
import { isAtLeast } from '../../src/pgbouncer/version.ts';
import { specOf, unit, userOf } from '../support/builders.ts';
import { dryRun, type Instance, openPlace, programs, startInstance, writeFiles } from './pgbouncer-process.ts';

const database = (name: string, changes: Partial<DatabaseSpec> = {}): DatabaseSpec => ({
  name,
  database: name,
  backend: 'main',
  host: '127.0.0.1',
  port: 5999,
  maxConnections: 60,
  readOnly: false,
  ...changes,
});

const verifier = 'SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy';
const fleetOf = (port: number, options: Options = {}, changes: Partial<FleetSpec> = {}): FleetSpec =>
  specOf({
    options: { ...completeOptions(options), listen_port: port },
    databases: [
      database('orders'),
      database('x-1.y_Z', { host: '::1', database: 'it\'s; #1 "x"' }),
      database('free', { maxConnections: 0 }),
      database('orders_readonly', { database: 'orders', host: '127.0.0.2,127.0.0.3,::1', readOnly: true }),
    ],
    users: [
      userOf('pgbouncer_orders_2', verifier),
      userOf('pgbouncer_reports_3', verifier, {
        poolMode: 'statement',
        maxConnections: 7,
        timeouts: {
          queryTimeout: 30,
          transactionTimeout: 40,
          idleTransactionTimeout: 0,
          clientIdleTimeout: 31_536_000,
          queryWaitTimeout: 0,
        },
      }),
    ],
    slots: [
      { unit: unit(0), instances: 2 },
      { unit: unit(1), instances: 3 },
    ],
    ...changes,
  });

/** A value that is not the default, at one end of its range. */
const another = ({ key, kind, default: standard }: OptionEntry): OptionValue => {
  switch (kind.type) {
    case 'integer':
      return kind.max === standard ? kind.min : kind.max;
    case 'seconds':
      return key === 'query_wait_timeout' ? 1_234_567.125 : kind.max - 0.5;
    case 'flag':
      return standard !== true;
    case 'choice':
      return kind.among.find((value) => value !== standard) ?? '';
    case 'text':
      return key === 'server_check_query'
        ? "select 'a=b' -- # [x] % ü"
        : key === 'login_notify_message'
          ? 'so; "what" = 1'
          : 'search_pat';
  }
};
const nonDefault: Options = Object.fromEntries(
  catalogue.filter(({ key }) => key !== 'listen_port').map((entry) => [entry.key, another(entry)]),
);

describe.each(await programs())('PgBouncer $name', ({ run, reason, version }) => {
  const rendered = async (options: Options = {}, changes: Partial<FleetSpec> = {}) => {
    const place = await openPlace(await freePort(['127.0.0.1']));
    const files = render(
      fleetOf(place.port, options, changes),
      unit(0),
      place.layout,
      version,
      'troupe-7-0123456789ab',
    );
    await writeFiles(place, files);
    return { place, files, ini: files.instances[0]?.ini ?? '' };
  };

  it('accepts what is rendered with defaults, and with every option changed', async ({ skip }) => {
    if (run === null) return skip(reason);
    expect(checkOptions(nonDefault)).toEqual([]);
    for (const options of [{}, nonDefault]) {
      const { place, files } = await rendered(options);
      for (const { ini } of files.instances) {
        const { code, stderr } = await dryRun(run, place, ini);
        expect(readDryRun(code, stderr), stderr).toEqual({ kind: 'proven' });
      }
    }
  });

  it('accepts whatever values the catalogue accepts', async ({ skip }) => {
    if (run === null) return skip(reason);
    const { place } = await rendered();
    await fc.assert(
      fc.asyncProperty(anyOptions, async (options) => {
        fc.pre(checkOptions(options).length === 0);
        const [instance] = render(fleetOf(place.port, options), unit(0), place.layout, version, 'c').instances;
        const { code, stderr } = await dryRun(run, place, instance?.ini ?? '');
        expect(readDryRun(code, stderr), stderr).toEqual({ kind: 'proven' });
      }),
      { numRuns: 25 },
    );
  });

  it.for<readonly [string, (ini: string) => string, RegExp]>([
    ['an unknown setting', (ini: string) => ini.replace('verbose = 0', 'verbos = 0'), /verbos/],
    ['a value that is none', (ini: string) => ini.replace('so_reuseport = 1', 'so_reuseport = yes'), /so_reuseport/],
    ['a comment after a value', (ini: string) => ini.replace('verbose = 0', 'verbose = 0 ; why'), /verbose/],
    [
      'a choice that is none',
      (ini: string) => ini.replace('pool_mode = session', 'pool_mode = sometimes'),
      /pool_mode/,
    ],
    ['a line that is none', (ini: string) => ini.replace('verbose = 0', 'verbose'), /syntax error/],
    ['an unknown section', (ini: string) => ini.replace('[databases]', '[clients]'), /clients/],
    [
      'an unknown key of a database',
      (ini: string) => ini.replace("dbname='orders'", "name='orders'"),
      /unrecognized|name/,
    ],
    ['an empty value of a database', (ini: string) => ini.replace("dbname='orders'", "dbname=''"), /orders|syntax/],
    ['the console as a database', (ini: string) => ini.replace('orders =', 'pgbouncer ='), /pgbouncer/],
  ])('refuses %s, and says so', async ([_, breaking, words], { skip }) => {
    if (run === null) return skip(reason);
    const { place, ini } = await rendered();
    expect(breaking(ini)).not.toBe(ini);
    const { code, stderr } = await dryRun(run, place, breaking(ini));
    expect(readDryRun(code, stderr)).toMatchObject({ kind: 'refused', reason: expect.stringMatching(words) });
  });

  it('is refused for an auth file that it would only warn about', async ({ skip }) => {
    if (run === null) return skip(reason);
    const { place, files, ini } = await rendered();
    await writeFiles(place, { ...files, authFile: new Secret('no quotes\n') });
    const { code, stderr } = await dryRun(run, place, ini);
    expect(readDryRun(code, stderr)).toMatchObject({ kind: 'refused', reason: expect.stringMatching(/auth file/) });
  });

  it('has loaded all that was rendered, and shows it', async ({ skip }) => {
    if (run === null) return skip(reason);
    for (const options of [{}, nonDefault]) {
      const { place, files } = await rendered(options);
      const instance = await startInstance(run, place, 2);
      const ini = files.instances[1]?.ini ?? '';
      const shown = await everythingShown(instance);
      const { config } = shown;
      expect(configMismatches(ini, shown)).toEqual([]);
      expect(canaryIn(config)).toBe('troupe-7-0123456789ab');
      expect(versionIn(await instance.rows('SHOW VERSION'))).toEqual(version);
      if (isAtLeast(version, '1.19')) expect(await instance.rows('SHOW PEERS')).toHaveLength(2);
      await verifyFindsChanges(ini, shown);
    }
  });

  it('knows every setting as an option or as reserved, and which of them take a restart', async ({ skip }) => {
    if (run === null) return skip(reason);
    const { place, ini } = await rendered();
    const instance = await startInstance(run, place, 1);
    const config = await instance.rows('SHOW CONFIG');
    const strangers = config.flatMap(({ key }) => {
      const of = key ?? '';
      return optionOf(of) === undefined && whyReserved(of) === undefined ? [of] : [];
    });
    expect(strangers).toEqual([]);
    const written = new Set(settingsIn(ini).keys());
    const fixed = config.filter(({ key, changeable }) => changeable === 'no' && written.has(key ?? ''));
    expect([...written].filter(takesRestart).toSorted()).toEqual(fixed.map(({ key }) => key ?? '').toSorted());
    const unknown = catalogue
      .filter(({ key, own }) => own !== true && key !== 'max_db_connections' && !written.has(key))
      .map(({ key }) => key);
    expect(unknown.filter((key) => config.some((row) => row['key'] === key))).toEqual([]);
    expect(unheededOptions(nonDefault, version).map(({ key }) => key)).toEqual(unknown);
  });

  it('lets its own account command the console, and the probe only look, although nobody is an administrator', async ({
    skip,
  }) => {
    if (run === null) return skip(reason);
    const { place, files } = await rendered();
    const instance = await startInstance(run, place, 1);
    for (const command of ['RELOAD', 'PAUSE', 'RESUME'])
      expect(await instance.ask(command)).toMatchObject({ rows: [] });
    if (isAtLeast(version, '1.19')) expect(isPaused(await instance.rows('SHOW STATE'))).toBe(false);
    const login = { host: '127.0.0.1', port: place.port, user: 'troupe_probe', database: 'pgbouncer' };
    const probe = new Client({ ...login, password: place.password.reveal() });
    await probe.connect();
    expect((await probe.query('SHOW VERSION')).rows).toHaveLength(1);
    await expect(probe.query('RELOAD')).rejects.toThrow(/admin access needed/);
    await probe.end();
    const stranger = new Client({ ...login, user: 'pgbouncer', password: 'x' });
    await expect(stranger.connect()).rejects.toThrow();
    expect(files.authFile.reveal()).toContain('"troupe_probe" "SCRAM-SHA-256$');
  });

  const everythingShown = async (instance: Instance): Promise<Shown> => ({
    config: await instance.rows('SHOW CONFIG'),
    databases: await instance.rows('SHOW DATABASES'),
    users: await instance.rows('SHOW USERS'),
  });

  const verifyFindsChanges = async (ini: string, { config, databases, users }: Shown): Promise<void> => {
    const wanted = settingsIn(ini);
    for (const key of wanted.keys()) {
      const shown = { ...settingsShown(config), [key]: '424242' };
      expect(settingsAmiss(wanted, shown)).toEqual([key]);
    }
    for (const column of ['host', 'port', 'database', 'pool_size', 'max_connections', 'name'])
      expect(
        configMismatches(ini, {
          config,
          databases: databases.map((row) => (row['name'] === 'orders' ? { ...row, [column]: 'else' } : row)),
          users,
        }),
      ).not.toEqual([]);
  };
});

const valueOf = ({ kind }: OptionEntry): fc.Arbitrary<OptionValue> => {
  switch (kind.type) {
    case 'integer':
      return fc.integer({ min: kind.min, max: kind.max });
    case 'seconds':
      return fc.integer({ min: kind.min, max: kind.max - 1 }).map((whole) => whole + (whole % 7) / 8);
    case 'flag':
      return fc.boolean();
    case 'choice':
      return fc.constantFrom(...kind.among);
    case 'text':
      return fc.oneof(
        fc.constantFrom('', 'a,b', 'IntervalStyle'),
        fc.string({ unit: 'grapheme', maxLength: 40 }).filter((text) => kind.pattern.test(text) && text.isWellFormed()),
      );
  }
};
const given = (entry: OptionEntry): fc.Arbitrary<readonly (readonly [string, OptionValue])[]> =>
  fc.oneof(
    fc.constant([]),
    valueOf(entry).map((value) => [[entry.key, value]] as const),
  );
const anyOptions: fc.Arbitrary<Options> = fc
  .tuple(...catalogue.filter(({ key }) => key !== 'listen_port').map(given))
  .map((pairs) => Object.fromEntries(pairs.flat()));
