/** What people, files and programs might ask for: mostly sensible, and in one place or another as nasty as it gets. */
import fc from 'fast-check';
import type { Change, SettingsChange } from '../../src/actors/model/change.ts';
import { clientTimeouts, type OptionValue, type PoolMode, poolModes } from '../../src/actors/model/intent.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { parseOption } from '../../src/pgbouncer/catalogue.ts';
import { options as catalogue, type OptionEntry } from '../../src/pgbouncer/options.ts';

/** Letters that mean something to one parser or another, more often than others. */
const letters = fc.string({
  unit: fc.oneof(
    fc.constantFrom(...` ='";#%[]\\,\`$&*~.-_/:@{}|<>!?()\n\t`.split('')),
    fc.constantFrom(
      'a',
      'B',
      '0',
      'ü',
      '€',
      '🐘',
      '\u00a0',
      '\ufeff',
      '\u202e',
      '\u0000',
      '\u007f',
      '\u2028',
      '\ud800',
    ),
    fc.string({ minLength: 1, maxLength: 1 }),
  ),
  minLength: 0,
  maxLength: 24,
});
const known = fc.constantFrom(
  ...['', ' ', '0', '00', '010', '0x10', '1e3', '1_000', '+5', '-1', '-0', '5 ', ' 5', '1.5', '٣', '9'.repeat(20)],
  ...['NaN', 'Infinity', 'true', 'null', 'undefined', '5s', '5ms', '1h', '*', '%include /etc/passwd', '[x]', ';', '#'],
  ...['pgbouncer', 'postgres', 'template0', 'template1', 'POSTGRES', 'PgBouncer', 'pg_x', 'troupe_x', 'autodb'],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'a.b',
    'a-b',
    'a_b',
    'A',
    'x'.repeat(63),
    'x'.repeat(64),
  ],
  ...[
    'ü'.repeat(31),
    'ü'.repeat(32),
    'orders_readonly',
    'orders\n',
    "o'rders",
    'o"rders',
    'or ders',
    'оrders',
    'orders ',
  ],
);
const nasty = fc.oneof(letters, known);
const mostly = <T>(sensible: fc.Arbitrary<T>, else_: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 9, arbitrary: sensible }, { weight: 1, arbitrary: else_ });

const relationName = mostly(fc.constantFrom('main', 'other', 'orders', 'reports', 'a', 'a-1', 'x'.repeat(40)), nasty);
const backendName = mostly(fc.constantFrom('main', 'other'), nasty);
const databaseName = mostly(
  fc.oneof(
    fc.constantFrom('orders', 'reports', 'x-1.y_Z', 'x'.repeat(63), '10', '007', 'true', '_', 'Orders'),
    fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/),
  ),
  nasty,
);
const identifier = mostly(fc.constantFrom('postgres', 'troupe admin', 'Ädmin', 'a"b', "a'b"), nasty);
const endpoint = mostly(
  fc.oneof(
    fc.constantFrom('db1:5432', '127.0.0.1:5432', '[::1]:6543', 'db-2.example.org:1', 'DB:65535', '10.0.0.255:5433'),
    fc.tuple(fc.domain(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `${host}:${port}`),
    fc.tuple(fc.ipV6(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `[${host}]:${port}`),
  ),
  fc.oneof(
    nasty,
    fc.tuple(nasty, fc.constantFrom('5432', '0', '65536', '05', '')).map(([host, port]) => `${host}:${port}`),
    fc.constantFrom(
      'db1',
      'db1:0',
      'db1:65536',
      'db1:08',
      '-x:1',
      'a..b:1',
      '[::1%lo]:1',
      '1.2.3.4.5:1',
      '/tmp:1',
      'a,b:1',
    ),
  ),
);

/** As words of a command line or a file, and as values of a program's request. */
const optionValue = (entry: OptionEntry): fc.Arbitrary<OptionValue | null> => {
  const asText = nasty.map((text): OptionValue => {
    const parsed = parseOption(entry.key, text);
    return parsed.ok ? parsed.value : text;
  });
  const raw = fc.oneof(
    fc.constantFrom<OptionValue>(true, false, -1, 0, 1.5, -0, 1e21, 2 ** 53, 0.1, 31_536_000, 262_143),
    nasty,
  );
  return mostly<OptionValue | null>(valueOf(entry), fc.oneof(asText, raw, fc.constant(null)));
};

const valueOf = ({ kind }: OptionEntry): fc.Arbitrary<OptionValue> => {
  switch (kind.type) {
    case 'integer':
      return fc.oneof(fc.constantFrom(kind.min, kind.max), fc.integer({ min: kind.min, max: kind.max }));
    case 'seconds':
      return fc.integer({ min: kind.min, max: kind.max - 1 }).map((whole) => whole + (whole % 8) / 8);
    case 'flag':
      return fc.boolean();
    case 'choice':
      return fc.constantFrom(...kind.among);
    case 'text':
      return fc.oneof(fc.constantFrom('', 'IntervalStyle', 'a,b', "select 'a=b'", 'so; "what" = 1', '%x # y'), nasty);
  }
};

/** Those that cost a new process are asked for less often: it takes longest. */
const settable = mostly(
  fc.constantFrom(...catalogue.filter(({ restart }) => restart !== true)),
  fc.constantFrom(...catalogue.filter(({ key, restart }) => restart === true && key !== 'listen_port')),
);
const setOptions: fc.Arbitrary<Change> = fc
  .array(
    mostly<readonly [string, OptionValue | null]>(
      settable.chain((entry) => optionValue(entry).map((value) => [entry.key, value] as const)),
      fc.tuple(nasty, fc.constantFrom<OptionValue | null>('1', 1, true, null)),
    ),
    { minLength: 1, maxLength: 6 },
  )
  .map((pairs) => ({ type: 'setOptions', options: Object.fromEntries(pairs) }));

const addBackend: fc.Arbitrary<Change> = fc.record({
  type: fc.constant('addBackend' as const),
  name: backendName,
  endpoints: fc.array(endpoint, { minLength: 1, maxLength: 3 }),
  username: identifier,
  password: mostly(fc.constant('pg'), nasty).map((text) => new Secret(text)),
  maintenanceDatabase: mostly(fc.constant('postgres'), identifier),
});

const number = (most: number): fc.Arbitrary<number | null> =>
  mostly<number | null>(
    fc.oneof(fc.constant(null), fc.integer({ min: 0, max: most })),
    fc.constantFrom(-1, 0.5, 1e12, Number.NaN, Number.POSITIVE_INFINITY),
  );
const settings: fc.Arbitrary<SettingsChange> = fc.record(
  {
    poolMode: fc.constantFrom<PoolMode | null>(null, ...poolModes),
    budget: number(400),
    timeouts: fc.record(Object.fromEntries(clientTimeouts.map((name) => [name, number(31_536_000)])), {
      requiredKeys: [],
    }),
  },
  { requiredKeys: [] },
);
const addClient: fc.Arbitrary<Change> = fc.record({
  type: fc.constant('addClient' as const),
  name: relationName,
  database: databaseName,
  backend: fc.oneof(fc.constant(null), backendName),
  extraUserRoles: mostly<readonly string[] | null>(
    fc.constantFrom([], null, ['createdb'], ['createrole', 'createdb']),
    fc.array(nasty, { maxLength: 3 }),
  ),
  settings,
});
const removeRelation: fc.Arbitrary<Change> = relationName.map((name) => ({ type: 'removeRelation', name }));

/** What somebody did to a fleet, one change after the other. */
export const wildChanges: fc.Arbitrary<readonly Change[]> = fc
  .tuple(
    mostly<Change | null>(addBackend, fc.constant(null)),
    fc.array(
      fc.oneof(
        { weight: 4, arbitrary: setOptions },
        { weight: 4, arbitrary: addClient },
        { weight: 1, arbitrary: addBackend },
        { weight: 1, arbitrary: removeRelation },
      ),
      { minLength: 1, maxLength: 5 },
    ),
  )
  .map(([first, more]) => (first === null ? more : [first, ...more]));
