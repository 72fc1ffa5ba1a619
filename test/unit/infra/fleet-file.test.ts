import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseFleetFile, parseOptionsFile } from '../../../src/infra/fleet-file/fleet-file.ts';
import { loadFleet } from '../../../src/infra/fleet-file/load.ts';

const example = `# fleet.yaml: desired intent.
application: pgbouncer
options: { pool_mode: transaction, max_db_connections: 60 }
backends:
  main: { endpoints: ["db1:5432", "db2:5432"], username: postgres, password-file: pg.password }
clients:
  orders:  { database: orders }                                   # backend: main when there is only one
  reports: { database: orders, extra-user-roles: createdb, pool-mode: session, budget: 10 }
`;

const sentencesOf = (file: string | Uint8Array): readonly string[] => {
  const parsed = parseFleetFile(typeof file === 'string' ? Buffer.from(file) : file, 'f.yaml');
  return parsed.kind === 'faults' ? parsed.sentences : [];
};

describe('a fleet file', () => {
  it('says what is asked for', () => {
    expect(parseFleetFile(Buffer.from(example), 'f.yaml')).toMatchObject({
      kind: 'parsed',
      value: {
        application: 'pgbouncer',
        options: { pool_mode: 'transaction', max_db_connections: 60 },
        backends: {
          main: { endpoints: ['db1:5432', 'db2:5432'], username: 'postgres', passwordFile: 'pg.password' },
        },
        clients: {
          orders: { database: 'orders', backend: null, extraUserRoles: null, settings: { timeouts: {} } },
          reports: { extraUserRoles: ['createdb'], settings: { poolMode: 'session', budget: 10 } },
        },
      },
    });
  });

  it('may come from an editor of another system', () => {
    const windows = `\ufeff${example.replaceAll('\n', '\r\n')}`;
    expect(sentencesOf(windows)).toEqual([]);
  });

  it('takes lists as they are or with commas, and words of flags as a command line does', () => {
    const file = `
options: { log_stats: yes, server_check_query: '' }
backends: { main: { endpoints: "db1:5432, [::1]:5433", username: "010", password-file: p } }
clients: { a: { database: no, extra-user-roles: [createdb, createrole], query-timeout: 0 } }`;
    expect(parseFleetFile(Buffer.from(file), 'f')).toMatchObject({
      value: {
        options: { log_stats: true, server_check_query: '' },
        backends: { main: { endpoints: ['db1:5432', '[::1]:5433'], username: '010' } },
        clients: {
          a: {
            database: 'no',
            extraUserRoles: ['createdb', 'createrole'],
            settings: { timeouts: { queryTimeout: 0 } },
          },
        },
      },
    });
  });

  it('leaves what is no value of an option to the unit, as text', () => {
    const file = 'options: { max_db_connections: 010, query_timeout: 1e3, listen_port: 0x10, pool_size: 1 }';
    expect(parseFleetFile(Buffer.from(file), 'f')).toMatchObject({
      value: { options: { max_db_connections: '010', query_timeout: '1e3', listen_port: '0x10', pool_size: '1' } },
    });
  });

  it('says where a path stands, and where the nearest one above it does', () => {
    const parsed = parseFleetFile(Buffer.from(example), 'f.yaml');
    if (parsed.kind === 'faults') return expect.unreachable();
    expect(
      ['options.pool_mode', 'clients.reports.budget', 'clients.orders.name', 'fleet'].map(parsed.value.lineOf),
    ).toEqual([3, 8, 7, null]);
  });

  it.each<readonly [string, string | Uint8Array, readonly (string | RegExp)[]]>([
    ['nothing', '', [/names nothing/]],
    ['a comment', '# later\n', [/names nothing/]],
    ['an empty map, which would remove everything', '{}', [/names nothing/]],
    ['a list', '- a', [/^f\.yaml:1: it is a list: it must be a map/]],
    ['a text', 'hello', [/it is a text: it must be a map/]],
    ['a section without anything', 'clients:\n', [/^f\.yaml:1: clients: has no value: it must be a map/]],
    [
      'an unknown section',
      'client: {}\noptions: {}',
      [/^f\.yaml:1: client: is no field of a fleet: did you mean clients\?/],
    ],
    [
      'a word of the options',
      'clients: { a: { database: x, pool_mode: session } }',
      [/clients\.a\.pool_mode: .*did you mean pool-mode/],
    ],
    ['no database', 'clients:\n  a: {}', [/^f\.yaml:2: clients\.a\.database: is missing$/]],
    ['no password', 'backends: { m: { endpoints: [a:1], username: u } }', [/backends\.m\.password-file: is missing/]],
    [
      'a password',
      'backends: { m: { endpoints: [a:1], username: u, password: x, password-file: f } }',
      [/m\.password: is no field .*password-file/],
    ],
    [
      'a key twice',
      'options:\n  pool_mode: session\n  pool_mode: session',
      [/^f\.yaml:3: options\.pool_mode: stands there twice$/],
    ],
    [
      'anchors and aliases',
      'options: &a {}\nclients: *a',
      [/^f\.yaml:1: options: anchors/, /^f\.yaml:2: clients: aliases/],
    ],
    ['a bomb', `clients: {}\na: &a [x, x]\n${'b: &b [*a, *a]\n'.repeat(9)}`, [/anchors/]],
    ['a merge', 'clients: { a: { database: x, <<: { backend: m } } }', [/a\.<<: is no field of a client/]],
    ['a tag', 'options: { server_check_query: !!binary aGk= }', [/server_check_query: tags are not taken/]],
    ['a tag on a map', 'options: !!omap {}', [/tags are not taken/]],
    ['a directive', '%YAML 1.1\n---\noptions: { log_stats: yes }', [/^f\.yaml:1: directives are not taken/]],
    ['two documents', 'options: {}\n---\noptions: {}', [/^f\.yaml:2: a second document/]],
    ['a tab', 'options:\n\tpool_mode: session', [/^f\.yaml:2: a tab indents it: use blanks$/]],
    ['an open bracket', 'options: { a: 1\n', [/^f\.yaml:\d: it is not YAML: /]],
    ['a thousand open brackets', `options: ${'['.repeat(100_000)}`, ['f.yaml: it is nested too deeply']],
    [
      'a deep block',
      Array.from({ length: 700 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'),
      [/f\.yaml:1: a: is no field/],
    ],
    ['a zero byte', 'options: { pool_mode: "a\0" }', [/^f\.yaml:1: it holds the control character \\u0000$/]],
    ['an escape', 'options:\n  a: \x1b[31m', [/^f\.yaml:2: it holds the control character \\u001b$/]],
    ['bytes that are no text', Buffer.from([0x61, 0xff, 0xfe]), ['f.yaml: it is not UTF-8 text']],
    ['another encoding', Buffer.from('options: {}', 'utf16le'), [/control character/]],
    ['more than a request may have', 'a'.repeat(300_000), ['f.yaml: it is larger than 262144 bytes']],
    [
      'a number for a text',
      'clients: { a: { database: 010 } }',
      [/a\.database: must be a text: put it in quotes \("010"\)/],
    ],
    ['truth for a text', 'clients: { a: { database: true } }', [/put it in quotes \("true"\)/]],
    ['nothing for a text', 'clients: { a: { database: ~ } }', [/a\.database: has no value: it must be a text/]],
    [
      'a date for a number',
      'clients: { a: { database: x, budget: 2026-01-01 } }',
      [/a\.budget: "2026-01-01" must be a whole number/],
    ],
    ['octal', 'clients: { a: { database: x, budget: 010 } }', [/"010" must be a whole number in plain decimal digits/]],
    ['a number with grouping', 'clients: { a: { database: x, budget: 1_000 } }', [/"1_000" must be/]],
    ['a negative number', 'clients: { a: { database: x, query-timeout: -1 } }', [/"-1" must be/]],
    [
      'a list for a number',
      'clients: { a: { database: x, budget: [1] } }',
      [/a\.budget: is a list: it must be a whole number/],
    ],
    [
      'a mode that is none',
      'clients: { a: { database: x, pool-mode: auto } }',
      [/"auto" must be one of session, transaction, statement/],
    ],
    ['a client that is a text', 'clients: { a: orders }', [/clients\.a: is a text: it must be a map/]],
    ['keys that are no texts', 'clients: { 1: {}, true: {}, null: {} }', [/has a key that is no text/]],
    ['a key that is a map', '? { a: b }\n: c', [/has a key that is no text/]],
    [
      'names of JavaScript',
      'clients: { __proto__: {}, constructor: {} }',
      [/"__proto__", which can be no name/, /"constructor"/],
    ],
    ['letters that look like others', 'clients: { \u043erders: {} }', [/clients\.\\u043erders\.database: is missing/]],
    [
      'a list of maps',
      'backends: { m: { endpoints: [{ a: 1 }], username: u, password-file: f } }',
      [/endpoints\[0\]: is a map/],
    ],
  ])('with %s is refused in a few sentences', (_, file, expected) => {
    const sentences = sentencesOf(file);
    for (const [index, words] of expected.entries())
      expect(sentences[index]).toMatch(
        words instanceof RegExp ? words : new RegExp(`^${words.replaceAll('.', '\\.')}$`),
      );
    expect(sentences.length).toBeLessThanOrEqual(21);
  });

  it('has all of its faults told at once, in order, and no more than anybody reads', () => {
    expect(sentencesOf('clients:\n  a: { databse: x }\n  b: {}\noptions: { x: [] }')).toEqual([
      expect.stringMatching(/^f\.yaml:2: clients\.a\.databse: /),
      'f.yaml:2: clients.a.database: is missing',
      'f.yaml:3: clients.b.database: is missing',
      expect.stringMatching(/^f\.yaml:4: options\.x: /),
    ]);
    const many = Array.from({ length: 100 }, (_, index) => `  c${index}: {}`).join('\n');
    expect(sentencesOf(`clients:\n${many}`).at(-1)).toBe('f.yaml: and 80 more faults');
    expect(sentencesOf(`clients:\n${many}`)).toHaveLength(21);
  });
});

describe('passwords of a fleet file', () => {
  const written = async (files: Readonly<Record<string, string>>) => {
    const directory = await mkdtemp(join(tmpdir(), 'troupe-fleet-'));
    onTestFinished(() => rm(directory, { recursive: true, force: true }));
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    return directory;
  };

  it('are read from files beside it, and are not shown', async () => {
    const directory = await written({ 'fleet.yaml': example, 'pg.password': 's3cret\n' });
    const loaded = await loadFleet(join(directory, 'fleet.yaml'), null, true);
    if (loaded.kind === 'faults') return expect.unreachable(loaded.sentences.join());
    expect(loaded.value.change.backends['main']?.password.reveal()).toBe('s3cret');
    expect(JSON.stringify(loaded.value)).not.toContain('s3cret');
    expect(loaded.value.change.prune).toBe(true);
  });

  it('that are not there are told with the line that names them', async () => {
    const directory = await written({ 'fleet.yaml': example });
    expect(await loadFleet(join(directory, 'fleet.yaml'), null, false)).toEqual({
      kind: 'faults',
      sentences: [
        expect.stringMatching(
          /fleet\.yaml:5: backends\.main\.password-file: cannot read the password from .*no such file$/,
        ),
      ],
    });
    expect(await loadFleet(directory, null, false)).toMatchObject({
      sentences: [expect.stringMatching(/it is a directory$/)],
    });
    expect(await loadFleet(join(directory, 'no'), null, false)).toMatchObject({
      sentences: [expect.stringMatching(/there is no such file$/)],
    });
  });
});

describe('a file of options', () => {
  const parsed = (file: string) => parseOptionsFile(Buffer.from(file), 'o');

  it('is a map, or lines with KEY=VALUE', () => {
    const options = { pool_mode: 'session', server_check_query: 'select 1=1' };
    expect(parsed('pool_mode: session\nserver_check_query: select 1=1\n')).toEqual({ kind: 'parsed', value: options });
    expect(parsed('# mine\npool_mode=session\r\n\nserver_check_query=select 1=1\n')).toEqual({
      kind: 'parsed',
      value: options,
    });
  });

  it.each([
    ['', /names no option/],
    ['# nothing\n', /names no option/],
    ['{}', /names no option/],
    ['pool_mode=session\npool_mode=session', /^o:2: pool_mode: stands there twice/],
    ['pool_mode: session\npool_mode: session', /^o:2: pool_mode: stands there twice/],
    ['pool_mode=session\nlog_stats: yes', /^o:\d: it/],
    ['a: [1]', /^o:1: a: is a list: it must be one value/],
  ])('like %j is refused', (file, words) => {
    expect(parsed(file)).toMatchObject({ kind: 'faults', sentences: [expect.stringMatching(words)] });
  });
});
