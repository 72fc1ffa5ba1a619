import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  authLine,
  connectionString,
  decodeIni,
  encodeIni,
  parseConnectionString,
  quoteConn,
  Unreadable,
  Unwritable,
} from '../../../src/pgbouncer/dialect.ts';
import { databasesIn, listenPortOf, settingsIn } from '../../../src/pgbouncer/ini.ts';
import { versionOf } from '../../../src/pgbouncer/version.ts';

const old = versionOf('1.24.1');
const quoting = versionOf('1.25.0');

describe('an ini of PgBouncer', () => {
  it('is written line for line as it was meant', () => {
    const text = encodeIni(
      [
        [
          'databases',
          [
            ['b', "host='h;#=' port=1"],
            ['10', 'x'],
            ['9', 'x'],
            ['__proto__', 'true'],
          ],
        ],
        ['peers', []],
        [
          'pgbouncer',
          [
            ['server_check_query', "select 'a=b' ; -- #"],
            ['listen_addr', ''],
            ['syslog_ident', '"quoted"'],
          ],
        ],
      ],
      old,
    );
    expect(text).toBe(`[databases]
b = host='h;#=' port=1
10 = x
9 = x
__proto__ = true

[pgbouncer]
server_check_query = select 'a=b' ; -- #
listen_addr = ${''}
syslog_ident = "quoted"
`);
  });

  it.each(['\n', '\r', '\v', '\f', '\u0085', '\u2028', '\u2029', '\0', '\t', '\u001b', '\u007f', '\u009f', '\ud800'])(
    'cannot hold %j anywhere',
    (letter) => {
      const value = `a${letter}b`;
      expect(() => encodeIni([['pgbouncer', [['a', value]]]], quoting)).toThrow(Unwritable);
      expect(() => encodeIni([['databases', [[value, 'x']]]], quoting)).toThrow(Unwritable);
      expect(() => connectionString([['dbname', value]])).toThrow(Unwritable);
      expect(() => authLine(value, 'x')).toThrow(Unwritable);
      expect(() => authLine('x', value)).toThrow(Unwritable);
    },
  );

  it.each([' a', 'a ', ' '])('cannot hold %j as a setting, because blanks at the ends are lost', (value) => {
    expect(() => encodeIni([['pgbouncer', [['a', value]]]], old)).toThrow(Unwritable);
  });

  it.each([
    ['the console', 'pgbouncer'],
    ['the fallback', '*'],
    ['nothing', ''],
    ['64 bytes', 'x'.repeat(64)],
    ['32 letters of 2 bytes', 'ü'.repeat(32)],
    ['a single quote', "a'b"],
  ])('cannot name a database %s in any version', (_, name) => {
    expect(() => encodeIni([['databases', [[name, 'x']]]], quoting)).toThrow(Unwritable);
  });

  it.each(['my db', 'bücher', 'a@b', '"x"', 'a=b', '[x]', '%include'])('can name a database %j from 1.25', (name) => {
    expect(() => encodeIni([['databases', [[name, 'x']]]], old)).toThrow(/cannot write .* before 1.25/);
    const text = encodeIni([['databases', [[name, 'x']]]], quoting);
    expect(text).toBe(`[databases]\n'${name}' = x\n`);
    expect(decodeIni(text).get('databases')).toEqual(new Map([[name, 'x']]));
  });

  it('is read as PgBouncer reads it', () => {
    const text =
      "; comment\n[databases]\r\n  a\t=  host=h ; no comment\t\n#x\n'q r'='s'\na = last\n\n[users]\n[pgbouncer]\nlisten_port=6432\n";
    expect(decodeIni(text)).toEqual(
      new Map([
        [
          'databases',
          new Map([
            ['a', 'last'],
            ['q r', "'s'"],
          ]),
        ],
        ['users', new Map()],
        ['pgbouncer', new Map([['listen_port', '6432']])],
      ]),
    );
    expect(listenPortOf(text)).toBe(6432);
  });

  it.each([
    ['a key before any section', 'a = b\n[pgbouncer]\n'],
    ['an unknown section', '[clients]\na = b\n'],
    ['a line without a value', '[pgbouncer]\nverbose\n'],
    ['an include', '[pgbouncer]\n%include /etc/x\n'],
    ['a name that is none', '[databases]\nmy db = x\n'],
    ['settings that reset those before', '[pgbouncer]\na = 1\n[pgbouncer]\nb = 1\n'],
  ])('is not read with %s', (_, text) => {
    expect(() => decodeIni(text)).toThrow(Unreadable);
    expect(settingsIn(text)).toEqual(new Map());
    expect(listenPortOf(text)).toBeNull();
  });

  it('is read section by section: what is wrong in one does not hide the others', () => {
    const text = '[databases]\n???\n[pgbouncer]\nlisten_port = 6432\n';
    expect(listenPortOf(text)).toBe(6432);
    expect(databasesIn(text)).toEqual(new Map());
    expect(databasesIn("[databases]\na = host='h' port=1\n[pgbouncer]\n???\n")).toEqual(
      new Map([
        [
          'a',
          new Map([
            ['host', 'h'],
            ['port', '1'],
          ]),
        ],
      ]),
    );
  });

  it('is read or refused, whatever is on disk', () => {
    expect(settingsIn('[pgbouncer]\n__proto__ = 1\nconstructor = 2\n').size).toBe(2);
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('[databases]', '[pgbouncer]', 'a = b', "x = host='")),
        ),
        (lines) => {
          const text = lines.join('\n');
          expect(settingsIn(text)).toBeInstanceOf(Map);
          expect(databasesIn(text)).toBeInstanceOf(Map);
        },
      ),
    );
  });
});

describe('a connection string', () => {
  it('has every text in quotes', () => {
    expect(
      connectionString([
        ['host', "O'Neill"],
        ['port', 5432],
        ['dbname', 'a b\\'],
      ]),
    ).toBe("host='O''Neill' port=5432 dbname='a b\\'");
    expect(quoteConn('password', "'")).toBe("''''");
    expect(() => connectionString([['host', '']])).toThrow(/cannot write host: it is empty/);
  });

  it('is read as PgBouncer reads it', () => {
    expect(parseConnectionString("host = a  port=5 dbname='x '' y=z' user=a\tb")).toEqual(
      new Map([
        ['host', 'a'],
        ['port', '5'],
        ['dbname', "x ' y=z"],
        ['user', 'a\tb'],
      ]),
    );
    // The empty value takes the next pair, and PgBouncer says nothing.
    expect(parseConnectionString('host= port=5432')).toEqual(new Map([['host', 'port=5432']]));
    expect(parseConnectionString('')).toEqual(new Map());
  });

  it.each(["host=''", "host='a", "host='a'b", 'host', '=x'])('is not read from %j', (text) => {
    expect(() => parseConnectionString(text)).toThrow(Unreadable);
  });
});

describe('a line of the auth file', () => {
  it('doubles quotes and keeps all else', () => {
    expect(authLine('a "b" ;', 'SCRAM$x"')).toBe('"a ""b"" ;" "SCRAM$x"""');
    expect(() => authLine('', 'x')).toThrow(Unwritable);
    expect(() => authLine('x'.repeat(128), 'x')).toThrow(Unwritable);
  });
});
