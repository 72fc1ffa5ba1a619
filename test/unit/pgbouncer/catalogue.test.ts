import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { OptionValue } from '../../../src/actors/model/intent.ts';
import {
  checkOptions,
  completeOptions,
  optionOf,
  optionsView,
  parseOption,
  unheededOptions,
} from '../../../src/pgbouncer/catalogue.ts';
import { nearest } from '../../../src/pgbouncer/nearest.ts';
import { options } from '../../../src/pgbouncer/options.ts';
import { whyReserved } from '../../../src/pgbouncer/reserved.ts';
import { versionOf } from '../../../src/pgbouncer/version.ts';

const reasonsOf = (given: Readonly<Record<string, unknown>>) => checkOptions(given).map(({ reason }) => reason);

describe('options', () => {
  it('begin with those of the charm, with its names, types and defaults', () => {
    const charm = Object.entries(completeOptions({})).slice(0, 4);
    expect(charm).toEqual([
      ['listen_port', 6432],
      ['pool_mode', 'session'],
      ['max_db_connections', 100],
      ['max_prepared_statements', 100],
    ]);
  });

  it('have defaults that are right, one entry each, and are not reserved', () => {
    expect(checkOptions(completeOptions({}))).toEqual([]);
    expect(new Set(options.map(({ key }) => key)).size).toBe(options.length);
    expect(options.filter(({ key }) => whyReserved(key) !== undefined)).toEqual([]);
    for (const { key, help } of options) expect(`${key}: ${help}`).toMatch(/^[a-z_]+: \S.*[^.]$/);
  });

  it('are complete with what is given, and without what nobody knows', () => {
    const given = { pool_mode: 'transaction', log_stats: true, of_tomorrow: 1 };
    expect(completeOptions(given)).toMatchObject({ pool_mode: 'transaction', log_stats: true, listen_port: 6432 });
    expect(Object.keys(completeOptions(given))).toEqual(options.map(({ key }) => key));
    expect(optionsView(given).filter(({ set }) => set)).toEqual([
      expect.objectContaining({ key: 'pool_mode', value: 'transaction', default: 'session' }),
      expect.objectContaining({ key: 'log_stats', value: true, default: false }),
    ]);
  });

  it('say what they need and what they cost', () => {
    const helpOf = (key: string) => optionsView({}).find((row) => row.key === key)?.help;
    expect(helpOf('listen_port')).toMatch(/restarts the instances$/);
    expect(helpOf('transaction_timeout')).toMatch(/from PgBouncer 1\.25$/);
    expect(helpOf('track_extra_parameters')).toMatch(/from PgBouncer 1\.20; restarts the instances$/);
    expect(helpOf('pool_mode')).not.toMatch(/restart|from/);
  });

  it('are parsed from words, and then are right', () => {
    expect(parseOption('listen_port', '6433')).toEqual({ ok: true, value: 6433 });
    expect(parseOption('pool_mode', 'Transaction')).toEqual({ ok: true, value: 'transaction' });
    expect(parseOption('query_timeout', '1.5')).toEqual({ ok: true, value: 1.5 });
    expect(parseOption('server_check_query', '')).toEqual({ ok: true, value: '' });
    for (const yes of ['true', 'on', 'YES', '1'])
      expect(parseOption('log_stats', yes)).toEqual({ ok: true, value: true });
    for (const no of ['false', 'Off', 'no', '0'])
      expect(parseOption('log_stats', no)).toEqual({ ok: true, value: false });
  });

  it.each([
    ['listen_port', '010000', /whole number from 1024 to 65535, in plain decimal digits/],
    ['listen_port', '0x1920', /plain decimal/],
    ['listen_port', '6432 ', /plain decimal/],
    ['listen_port', '1e4', /plain decimal/],
    ['listen_port', '80', /from 1024/],
    ['listen_port', '65536', /to 65535/],
    ['listen_port', '', /listen_port= must be/],
    ['max_db_connections', '-5', /max_db_connections=-5 must be a whole number from 0/],
    ['max_db_connections', '1.5', /whole number/],
    ['max_client_conn', '0', /from 1 to/],
    ['default_pool_size', '0', /from 1 to/],
    ['max_prepared_statements', '1001', /to 1000/],
    ['max_packet_size', '2147483648', /to 2147483647/],
    ['tcp_keepidle', '32768', /to 32767/],
    ['tcp_keepintvl', '32768', /to 32767/],
    ['query_timeout', '5s', /number of seconds .* without a unit/],
    ['query_timeout', '-1', /from 0/],
    ['query_timeout', '0.0005', /number of seconds/],
    ['query_timeout', '010', /plain decimal/],
    ['log_stats', 'maybe', /true or false/],
    ['pool_mode', 'pool', /one of session, transaction, statement/],
    ['server_reset_query', 'RESET ALL; DISCARD ALL', /one SQL statement .* without a semicolon/],
    ['server_reset_query', 'DISCARD\nALL', /one SQL statement/],
    ['server_reset_query', ' DISCARD ALL', /one SQL statement/],
    ['ignore_startup_parameters', 'a, b', /without blanks/],
    ['ignore_startup_parameters', 'options,search_path', /without search_path/],
    ['ignore_startup_parameters', 'SEARCH_PATH', /without search_path/],
    ['track_extra_parameters', 'a;b', /names of parameters/],
  ])('refuse %s=%j with words', (key, text, words) => {
    expect(parseOption(key, text)).toMatchObject({ ok: false, reason: expect.stringMatching(words) });
  });

  it('are refused by the wrong type, whatever a program hands over', () => {
    expect(reasonsOf({ listen_port: '6432' })).toEqual([
      expect.stringMatching(/^listen_port=6432 must be a whole number/),
    ]);
    for (const wrong of [null, undefined, {}, [], Number.NaN, Number.POSITIVE_INFINITY, 1e300, 6432.5, true])
      expect(reasonsOf({ listen_port: wrong })).toHaveLength(1);
    for (const wrong of [1e-7, Number.NaN, '1', true]) expect(reasonsOf({ query_timeout: wrong })).toHaveLength(1);
    for (const wrong of [0, 1, 'true', null]) expect(reasonsOf({ log_stats: wrong })).toHaveLength(1);
    for (const wrong of [1, null, '\ud800']) expect(reasonsOf({ login_notify_message: wrong })).toHaveLength(1);
    expect(checkOptions({ pool_mode: 'session', listen_port: 1 })).toMatchObject([{ path: 'options.listen_port' }]);
  });

  it.each([
    ['pool_mod', 'did you mean pool_mode?'],
    ['pool-mode', 'did you mean pool_mode?'],
    ['POOL_MODE', 'did you mean pool_mode?'],
    ['listenport', 'did you mean listen_port?'],
    ['max_db_connection', 'did you mean max_db_connections?'],
    ['colour', 'troupe config lists those there are'],
    ['', 'troupe config lists those there are'],
    ['x'.repeat(5_000), 'troupe config lists those there are'],
  ])('suggest what was meant by %j', (key, hint) => {
    const reason = reasonsOf({ [key]: 1 })[0] ?? '';
    expect(reason).toMatch(/^there is no option "/);
    expect(reason.endsWith(hint)).toBe(true);
    expect(reason.length).toBeLessThan(200);
  });

  it.each([
    'auth_type',
    'listen_addr',
    'verbose',
    'logfile',
    'min_pool_size',
    'client_tls_sslmode',
    'client_tls13_ciphers',
    'suspend_timeout',
    'expose-external',
  ])('say why %s cannot be set', (key) => {
    const why = whyReserved(key);
    expect(why).toBeDefined();
    expect(reasonsOf({ [key]: 1 })).toEqual([`${key} cannot be set: ${why}`]);
    expect(parseOption(key, '1')).toEqual({ ok: false, reason: `${key} cannot be set: ${why}` });
    expect(optionOf(key)).toBeUndefined();
  });

  it('know no option by a name that objects have by themselves', () => {
    for (const key of ['constructor', '__proto__', 'toString'])
      expect(checkOptions(JSON.parse(`{"${key}":1}`))).toHaveLength(1);
    expect(completeOptions(JSON.parse('{"__proto__":{"pool_mode":"statement"}}'))).toMatchObject({
      pool_mode: 'session',
    });
  });

  it('that a version cannot heed are named, when somebody asked for them', () => {
    const given = { transaction_timeout: 5, query_wait_notify: 5, max_prepared_statements: 0 };
    expect(unheededOptions(given, versionOf('1.26.1'))).toEqual([]);
    expect(unheededOptions(given, versionOf('1.24.1'))).toEqual([{ key: 'transaction_timeout', needs: '1.25' }]);
    expect(unheededOptions(given, versionOf('1.18.0')).map(({ key }) => key)).toEqual([
      'max_prepared_statements',
      'transaction_timeout',
    ]);
  });

  it('are right after parsing or are refused, whatever is typed', () => {
    const words = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.integer().map(String),
      fc.float().map(String),
      fc.constantFrom('true', '0', '-0', 'session'),
    );
    fc.assert(
      fc.property(fc.constantFrom(...options), words, ({ key }, text) => {
        const parsed = parseOption(key, text);
        if (parsed.ok) expect(checkOptions({ [key]: parsed.value } satisfies Record<string, OptionValue>)).toEqual([]);
        else expect(parsed.reason.startsWith(`${key}=`)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

describe('the nearest word', () => {
  it('is the one with the fewest mistakes, and none when there are too many', () => {
    expect(nearest('cat', ['dog', 'cart', 'cat'])).toBe('cat');
    expect(nearest('crat', ['dog', 'cart'])).toBeNull();
    expect(nearest('carrt', ['dog', 'cart', 'carry'])).toBe('cart');
    expect(nearest('', ['a'])).toBeNull();
  });
});
