import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { environmentOf, hostAndPort, uriOf } from '../../../src/infra/cli/connection-string.ts';

describe('connection strings', () => {
  const credentials = {
    client: 'orders',
    database: 'or/ders?x',
    username: 'us:er@host',
    password: "p%a'ss#w&d",
    endpoints: ['10.0.0.1:6432', '[fd00::1]:6433'],
    readOnlyEndpoints: [],
    readOnlyDatabase: null,
    tlsAuthorities: null,
  };

  it('mean in a URI what they say', () => {
    const uri = uriOf(credentials);
    expect(uri).toBe('postgresql://us%3Aer%40host:p%25a%27ss%23w%26d@10.0.0.1:6432,[fd00::1]:6433/or%2Fders%3Fx');
    const url = new URL(uriOf({ ...credentials, endpoints: ['[fd00::1]:6433'] }));
    expect([url.username, url.password, url.pathname].map(decodeURIComponent)).toEqual([
      credentials.username,
      credentials.password,
      `/${credentials.database}`,
    ]);
  });

  it('are lines that a shell reads as they are meant', () => {
    const script = `set -a\n${environmentOf(credentials)}\nprintf '%s|' "$PGHOST" "$PGPORT" "$PGDATABASE" "$PGUSER" "$PGPASSWORD"`;
    expect(execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8' })).toBe(
      "10.0.0.1,fd00::1|6432,6433|or/ders?x|us:er@host|p%a'ss#w&d|",
    );
  });

  it('name hosts without the brackets of IPv6', () => {
    expect([hostAndPort('[::1]:5'), hostAndPort('a:5')]).toEqual([
      { host: '::1', port: '5' },
      { host: 'a', port: '5' },
    ]);
  });
});
