import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PgBouncerVersion } from '../../src/actors/model/workload.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { readDryRun } from '../../src/pgbouncer/dry-run.ts';
import {
  authLine,
  connectionString,
  decodeIni,
  encodeIni,
  type Entries,
  parseConnectionString,
  Unwritable,
} from '../../src/pgbouncer/dialect.ts';
import { settingsShown } from '../../src/pgbouncer/show.ts';
import { isAtLeast } from '../../src/pgbouncer/version.ts';
import { dryRun, openPlace, type Place, programs, startInstance, writeOwned } from './pgbouncer-process.ts';

const seed = 20_261_124;

/** Whatever people might ask for, with the letters that mean something to one parser or another more often than others. */
const nasty = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...` ='";#%[]\\,\`$&*~.-_`.split('')),
    fc.constantFrom('a', 'B', '0', 'ü', '€', '🐘', '\u00a0', '\ufeff'),
    fc.string({ minLength: 1, maxLength: 1 }),
  ),
  minLength: 1,
  maxLength: 30,
});
const wild = fc.oneof(
  nasty,
  fc.constantFrom('__proto__', 'constructor', '10', '9', 'true', 'null', 'a[]', 'x.y', '[x]', '%include /etc/passwd'),
);
const any = fc.oneof(wild, fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }));

const writable = <T>(write: () => T): T | null => {
  try {
    return write();
  } catch (cause) {
    if (cause instanceof Unwritable) return null;
    throw cause;
  }
};

const main = (place: Place, more: Entries = []): Entries => [
  ['listen_addr', '127.0.0.1'],
  ['listen_port', String(place.port)],
  ['unix_socket_dir', place.layout.instances[0]?.socketDir ?? ''],
  ['auth_type', 'scram-sha-256'],
  ['auth_file', place.layout.authFile],
  ...more,
];

const namesFor = (version: PgBouncerVersion, wanted: number): readonly string[] => {
  const names = new Set<string>();
  for (const name of fc.sample(wild, { numRuns: 40 * wanted, seed })) {
    if (writable(() => encodeIni([['databases', [[name, '']]]], version)) !== null) names.add(name);
    if (names.size === wanted) break;
  }
  return [...names];
};

describe.each(await programs())('what is written, to PgBouncer $name', ({ run, reason, version }) => {
  const place = async () => openPlace(await freePort(['127.0.0.1']));

  it('is what it reads of databases', async ({ skip }) => {
    if (run === null) return skip(reason);
    const here = await place();
    const names = namesFor(version, isAtLeast(version, '1.25') ? 300 : 30);
    const values = fc
      .sample(wild, { numRuns: 3_000, seed })
      .filter((value) => writable(() => connectionString([['dbname', value]])) !== null);
    const databases = names.map((name, index): readonly [string, string] => [
      name,
      connectionString([
        ['host', '10.0.0.1'],
        ['port', 5000 + index],
        ['dbname', values[index] ?? ''],
        ['pool_size', index + 1],
      ]),
    ]);
    expect(databases.length).toBeGreaterThan(20);
    await writeOwned(here.layout.authFile, '');
    await writeOwned(
      here.layout.instances[0]?.ini ?? '',
      encodeIni(
        [
          ['databases', databases],
          ['pgbouncer', main(here)],
        ],
        version,
      ),
    );
    const instance = await startInstance(run, here, 1);
    const rows = (await instance.rows('SHOW DATABASES')).filter(({ name }) => name !== 'pgbouncer');
    const read = new Map(rows.map((row) => [row['name'] ?? '', [row['database'], row['port'], row['pool_size']]]));
    expect(read).toEqual(
      new Map(names.map((name, index) => [name, [values[index], String(5000 + index), String(index + 1)]])),
    );
  });

  it('is what it reads of settings', async ({ skip }) => {
    if (run === null) return skip(reason);
    const here = await place();
    await writeOwned(here.layout.authFile, '');
    const ini = (value: string): string | null =>
      writable(() =>
        encodeIni(
          [
            [
              'pgbouncer',
              main(here, [
                ['server_reset_query', value],
                ['syslog_ident', 'canary'],
              ]),
            ],
          ],
          version,
        ),
      );
    const values = fc.sample(wild, { numRuns: 60, seed }).filter((value) => ini(value) !== null);
    await writeOwned(here.layout.instances[0]?.ini ?? '', ini('') ?? '');
    const instance = await startInstance(run, here, 1);
    expect(values.length).toBeGreaterThan(20);
    for (const value of values) {
      await writeOwned(here.layout.instances[0]?.ini ?? '', ini(value) ?? '');
      await instance.rows('RELOAD');
      const shown = settingsShown(await instance.rows('SHOW CONFIG'));
      expect([shown['server_reset_query'], shown['syslog_ident']]).toEqual([value, 'canary']);
    }
  });

  it('is what it reads of users', async ({ skip }) => {
    if (run === null) return skip(reason);
    const here = await place();
    const names = [
      ...new Set(
        fc.sample(wild, { numRuns: 400, seed }).filter((name) => writable(() => authLine(name, 'x')) !== null),
      ),
    ];
    expect(names.length).toBeGreaterThan(100);
    await writeOwned(here.layout.authFile, names.map((name) => `${authLine(name, `s-${name}`)}\n`).join(''));
    await writeOwned(here.layout.instances[0]?.ini ?? '', encodeIni([['pgbouncer', main(here)]], version));
    const instance = await startInstance(run, here, 1);
    const users = (await instance.rows('SHOW USERS'))
      .map(({ name }) => name ?? '')
      .filter((name) => name !== 'pgbouncer');
    expect(users.toSorted()).toEqual(names.filter((name) => name !== 'pgbouncer').toSorted());
  });

  it('is what we read of it ourselves', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(any, any)), fc.dictionary(any, any), (databases, settings) => {
        const pairs = databases.flatMap(([name, value]): Entries => {
          const text = writable(() =>
            connectionString([
              ['dbname', value],
              ['port', 1],
            ]),
          );
          const isName = writable(() => encodeIni([['databases', [[name, '']]]], version)) !== null;
          return text === null || !isName ? [] : [[name, text]];
        });
        const values = Object.values(settings).filter(
          (value) => writable(() => encodeIni([['pgbouncer', [['a', value]]]], version)) !== null,
        );
        const main: Entries = values.map((value, index) => [`key_${index}`, value]);
        const decoded = decodeIni(
          encodeIni(
            [
              ['databases', pairs],
              ['pgbouncer', main],
            ],
            version,
          ),
        );
        expect(decoded.get('databases') ?? new Map()).toEqual(new Map(pairs));
        expect(decoded.get('pgbouncer') ?? new Map()).toEqual(new Map(main));
        for (const [, text] of pairs) expect(parseConnectionString(text).get('port')).toBe('1');
      }),
    );
  });

  it('is refused by us when it would be by it', async ({ skip }) => {
    if (run === null) return skip(reason);
    const here = await place();
    await writeOwned(here.layout.authFile, '');
    const unwritable = [
      'pgbouncer',
      'x'.repeat(64),
      "a'b",
      ...(isAtLeast(version, '1.25') ? [] : ['a b', 'ü', '[x]', 'a=b']),
    ];
    for (const name of unwritable) {
      expect(() => encodeIni([['databases', [[name, "host='h'"]]]], version)).toThrow(Unwritable);
      const key = isAtLeast(version, '1.25') && name !== 'pgbouncer' ? `'${name}'` : name;
      const { code, stderr } = await dryRun(
        run,
        here,
        `[databases]\n${key} = host='h'\n[pgbouncer]\n${main(here)
          .map((pair) => pair.join(' = '))
          .join('\n')}\n`,
      );
      expect(readDryRun(code, stderr), `${name}: ${stderr}`).toMatchObject({ kind: 'refused' });
    }
  });
});
