import { expect, it } from 'vitest';
import { type ApiSettings, loadUnitSettings } from '../../src/settings.ts';

const load = (environment: Readonly<Record<string, string>>, flags: Readonly<Record<string, string>> = {}) =>
  loadUnitSettings(environment, flags, { stateDir: '/s', runDir: '/r', cpus: 4 });
const tls = { TROUPE_API_CERT_FILE: '/c.pem', TROUPE_API_KEY_FILE: '/k.pem' };

it.each<[Readonly<Record<string, string>>, ApiSettings | null]>([
  [{}, null],
  [{ TROUPE_API: '127.0.0.1:8443' }, { host: '127.0.0.1', port: 8443, tls: null, tokenFile: null }],
  [
    { TROUPE_API: '[::1]:1', TROUPE_API_TOKEN_FILE: '/t' },
    { host: '::1', port: 1, tls: null, tokenFile: '/t' },
  ],
  [{ TROUPE_API: 'localhost:65535' }, { host: 'localhost', port: 65_535, tls: null, tokenFile: null }],
  [
    { TROUPE_API: '0.0.0.0:8443', ...tls },
    { host: '0.0.0.0', port: 8443, tls: { certificate: '/c.pem', key: '/k.pem' }, tokenFile: null },
  ],
  // What the command line asks at is none of a unit's business.
  [{ TROUPE_API: 'https://db.example:8443', TROUPE_API_TOKEN_FILE: '/t', TROUPE_API_CA_FILE: '/ca' }, null],
  [{ TROUPE_API: '/run/troupe/pgbouncer-0.sock' }, null],
  [{ TROUPE_API: 'unix:/run/troupe/pgbouncer-0.sock' }, null],
])('%j serves the API at %j', (environment, api) => {
  expect(load(environment)).toMatchObject({ kind: 'settings', settings: { api } });
});

it.each<[Readonly<Record<string, string>>, string]>([
  [{ TROUPE_API: '0.0.0.0:8443' }, 'without TLS the API may listen on loopback only'],
  [{ TROUPE_API: '[::]:8443' }, 'without TLS the API may listen on loopback only'],
  [{ TROUPE_API: '127.example.com:8443' }, 'without TLS the API may listen on loopback only'],
  [{ TROUPE_API: '8443' }, 'must be HOST:PORT'],
  [{ TROUPE_API: '::1:8443' }, 'must be HOST:PORT'],
  [{ TROUPE_API: '127.0.0.1:0' }, 'must be HOST:PORT'],
  [{ TROUPE_API: '127.0.0.1:65536' }, 'must have a port up to 65535'],
  [{ TROUPE_API: '127.0.0.1:8443', TROUPE_API_CERT_FILE: '/c.pem' }, 'belong together'],
  [tls, 'say where with TROUPE_API=HOST:PORT'],
  [{ TROUPE_API: '127.0.0.1:8443', TROUPE_API_TOKEN_FILE: 'tokens' }, 'must be an absolute path'],
])('%j is refused', (environment, says) => {
  const loaded = load(environment);
  expect(loaded.kind === 'invalid' && loaded.problems).toEqual([expect.stringContaining(says)]);
});

it('a URL as a flag is meant for this unit, and refused', () => {
  expect(load({}, { TROUPE_API: 'https://db.example:8443' })).toMatchObject({
    kind: 'invalid',
    problems: [expect.stringContaining('must be HOST:PORT')],
  });
});
