import { describe, expect, it } from 'vitest';
import { dryRunCopy, readDryRun, tlsDryRun } from '../../../src/pgbouncer/dry-run.ts';

const line = (level: string, words: string) => `2026-11-24 11:13:48.570 UTC [31143] ${level} ${words}\n`;
const limit = line('LOG', 'kernel file descriptor limit: 20000 (hard: 20000); max_client_conn: 100');
const end = line('FATAL', 'nowhere to listen on');

describe('the copy of a dry run', () => {
  const ini = `[databases]
syslog = host='h' port=1 dbname='peer_id'
logfile = host='h' port=1

[pgbouncer]
auth_file = /state/userlist.txt
listen_addr = 127.0.0.1
unix_socket_dir = /run/1
peer_id = 1
syslog = 0
syslog_ident = troupe-1-abc
`;

  it('listens nowhere, logs nowhere, and proves the auth file that is to come', () => {
    expect(dryRunCopy(ini, '/proving/userlist.txt')).toBe(`[databases]
syslog = host='h' port=1 dbname='peer_id'
logfile = host='h' port=1

[pgbouncer]
auth_file = /proving/userlist.txt
listen_addr =
unix_socket_dir =
pidfile =
logfile =
`);
    expect(dryRunCopy(ini)).toContain('auth_file = /state/userlist.txt');
  });

  it('proves the certificate that is to come, and nothing else where it comes alone', () => {
    const tls = { keyFile: '/p/key', certificateFile: '/p/certificate', authoritiesFile: '/p/authorities' };
    const old = `${ini}client_tls_sslmode = prefer\nclient_tls_key_file = /old\nclient_tls_ca_file = /old\n`;
    expect(dryRunCopy(old, undefined, tls)).toContain(`client_tls_sslmode = prefer
client_tls_key_file = /p/key
client_tls_cert_file = /p/certificate
client_tls_ca_file = /p/authorities
listen_addr =
`);
    expect(dryRunCopy(old, undefined, tls)).not.toContain('/old');
    expect(tlsDryRun(tls)).toBe(`[pgbouncer]
client_tls_sslmode = prefer
client_tls_key_file = /p/key
client_tls_cert_file = /p/certificate
client_tls_ca_file = /p/authorities
listen_addr =
unix_socket_dir =
pidfile =
logfile =
`);
  });

  it('is the same for instances that differ only in their place', () => {
    const other = ini.replace('/run/1', '/run/2').replace('peer_id = 1', 'peer_id = 2').replace('abc', 'abd');
    expect(other).not.toBe(ini);
    expect(dryRunCopy(other)).toBe(dryRunCopy(ini));
  });
});

describe('a dry run', () => {
  it('proves by its very last word', () => {
    expect(readDryRun(1, limit + end)).toEqual({ kind: 'proven' });
  });

  it.each([
    ['another exit code', 0, limit + end, /exit code 0/],
    ['a signal', null, limit, /a signal/],
    ['no words', 1, '', /exit code 1/],
    ['other last words', 1, end + limit + line('FATAL', 'TLS setup failed'), /^PgBouncer says: TLS setup failed$/],
    ['a warning', 1, line('WARNING', 'something is odd') + end, /^PgBouncer says: something is odd$/],
    ['an error', 1, line('ERROR', 'broken auth file') + end, /^PgBouncer says: broken auth file$/],
    ['a program that is none', 127, 'sh: pgbouncer: not found\n', /exit code 127: sh: pgbouncer: not found/],
    ['the words in another place', 1, line('LOG', 'nowhere to listen on'), /exit code 1/],
  ])('refuses by %s', (_, code, stderr, words) => {
    expect(readDryRun(code, stderr)).toMatchObject({ kind: 'refused', reason: expect.stringMatching(words) });
  });

  it("says why in PgBouncer's own words", () => {
    const stderr =
      line('ERROR', 'unknown parameter: pgbouncer/verbos') +
      line('ERROR', 'invalid value "0" for parameter verbos in configuration (x.ini:9)') +
      line('FATAL', 'cannot load config file');
    expect(readDryRun(1, stderr)).toEqual({
      kind: 'refused',
      reason:
        'PgBouncer says: unknown parameter: pgbouncer/verbos; invalid value "0" for parameter verbos in configuration (x.ini:9)',
    });
    expect(readDryRun(1, line('FATAL', 'cannot load config file'))).toEqual({
      kind: 'refused',
      reason: 'PgBouncer says: cannot load config file',
    });
  });
});
