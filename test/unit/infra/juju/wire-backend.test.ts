import { describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/actors/model/secret.ts';
import type { Bag } from '../../../../src/infra/juju/tools.ts';
import { backendAnswerIn, backendOf, backendRequest } from '../../../../src/infra/juju/wire/backend.ts';
import { ancestorIn, authFileIn, credentialsIn, rightsIn } from '../../../../src/infra/juju/wire/taken-over.ts';
import { backendRelation, written } from '../../../support/juju/wire-charts.ts';

const ours = backendRequest({}, 'aFooC5VZJMkZq9A4');
const [request] = JSON.parse(ours['requests'] ?? '[]') as [{ 'request-id': string }];
const id = request['request-id'];
const user = { username: new Secret('relation_id_3'), password: new Secret('word') };
const answered = { endpoints: 'pg:5432', username: 'relation_id_3', password: 'word' };

const readingOf = (theirs: Bag, contents: Parameters<typeof backendOf>[2] = {}, own: Bag = ours) =>
  backendOf(backendRelation, backendAnswerIn({ ...backendRelation, theirs, ours: own }), contents);

describe('our request to PostgreSQL', () => {
  it('is written once, whatever salt comes later', () => {
    expect(backendRequest(ours, 'another salt')).toEqual({});
  });

  it('of the charm that was here before stays as it is: no second version, no other roles', () => {
    const before = { database: 'pgbouncer', 'extra-user-roles': 'SUPERUSER', 'requested-secrets': '["username"]' };
    expect(written(before, backendRequest(before, 'salt'))).toEqual({ ...before, 'provided-secrets': '["mtls-cert"]' });
  });
});

describe('the answer of PostgreSQL', () => {
  it('names each server once, the primary first', () => {
    const theirs = {
      ...answered,
      endpoints: 'pg-0:5432, PG-1:5432',
      'read-only-endpoints': 'pg-1:5432,[::1]:5433,pg-0:5432',
    };
    expect(readingOf(theirs)).toMatchObject({
      kind: 'found',
      backend: { endpoints: ['pg-0:5432', 'PG-1:5432', '[::1]:5433'], maintenanceDatabase: 'pgbouncer' },
    });
  });

  it.each(['True', 'true', '"true"'])('that says tls %s is encrypted', (tls) => {
    expect(readingOf({ ...answered, tls, 'tls-ca': 'CA' })).toMatchObject({
      backend: { tls: { enabled: true, ca: 'CA' } },
    });
  });

  it.each(['False', 'false', '', 'yes'])('that says tls "%s" is not', (tls) => {
    expect(readingOf({ ...answered, tls })).toMatchObject({ backend: { tls: { enabled: false, ca: null } } });
  });

  it('is not known to be unencrypted while the secret that says it cannot be read', () => {
    const theirs = { endpoints: 'pg:5432', 'secret-user': 'secret:u', 'secret-tls': 'secret:t' };
    expect(readingOf(theirs, { user, tls: null })).toMatchObject({ kind: 'found', backend: { tls: null } });
  });

  it('is waited for while its secret is not granted', () => {
    expect(readingOf({ endpoints: 'pg:5432', 'secret-user': 'secret:u' }, { user: null })).toEqual({
      kind: 'waiting',
      reason: 'waiting for the backend database of relation backend-database:3 to grant the secret with its login',
    });
  });

  it('is read in the first version where that is what we asked in', () => {
    const begun = { database: 'pgbouncer', 'extra-user-roles': 'SUPERUSER' };
    expect(readingOf({ ...answered, requests: '[]' }, {}, begun)).toMatchObject({ kind: 'found' });
  });

  it('to another request than ours is none', () => {
    const response = { 'request-id': 'other', endpoints: 'pg:5432', 'secret-user': 'secret:u' };
    const theirs = { version: 'v1', requests: JSON.stringify([response]) };
    expect(readingOf(theirs, { user })).toMatchObject({ kind: 'waiting' });
    const mine = { ...response, 'request-id': id };
    expect(readingOf({ ...theirs, requests: JSON.stringify([response, mine]) }, { user })).toMatchObject({
      kind: 'found',
    });
  });

  it.each(['--owner', 'secret:', 'secret:a b', 'secret:$(x)', 'secret://a/b/c'])(
    'that names %s as a secret names none',
    (uri) => {
      expect(
        backendAnswerIn({ ...backendRelation, theirs: { endpoints: 'pg:5432', 'secret-user': uri }, ours }).kind,
      ).toBe('waiting');
    },
  );

  it.each([
    ['an endpoint without a port', { endpoints: 'pg' }],
    ['no endpoint among commas', { endpoints: ', ,' }],
    ['too many endpoints', { endpoints: Array.from({ length: 17 }, (_, n) => `pg-${n}:5432`).join(',') }],
    ['a password that is none', { password: 'a\0b' }],
  ])('with %s is refused, with what to do', (_, more) => {
    expect(readingOf({ ...answered, ...more })).toEqual({
      kind: 'refused',
      reason: expect.stringMatching(
        /^the backend database of relation backend-database:3 told .*; see to the charm there$/,
      ),
    });
  });
});

describe('what the ancestor left', () => {
  it('is read as far as it can be', () => {
    const config = {
      7: { name: 'orders', legacy: false },
      8: 'x',
      nine: { name: 'y' },
      10: { name: 'old', legacy: true },
    };
    expect(ancestorIn({ pgb_dbs_config: JSON.stringify(config), current_port: '0' })).toEqual({
      databases: [
        { relation: 7, name: 'orders', legacy: false },
        { relation: 10, name: 'old', legacy: true },
      ],
      wildcard: false,
      port: null,
    });
    for (const nothing of [{}, { pgb_dbs_config: '' }, { pgb_dbs_config: '[1]' }, { pgb_dbs_config: '{' }])
      expect(ancestorIn(nothing)).toBeNull();
  });

  it('in its auth file are logins, quoted as PgBouncer has it', () => {
    const text = '"a""b" "SCRAM-SHA-256$4096:x"\nnonsense\n  "c" "md5abc" trailing';
    expect([...authFileIn({ 'auth-file': new Secret(text) })].map(([name, its]) => [name, its.reveal()])).toEqual([
      ['a"b', 'SCRAM-SHA-256$4096:x'],
      ['c', 'md5abc'],
    ]);
    expect(authFileIn({ 'auth-file': new Secret('None') }).size).toBe(0);
    expect(authFileIn({}).size).toBe(0);
  });

  it('of a login counts when it is whole', () => {
    expect(credentialsIn({ username: 'a' }, null)).toBeNull();
    expect(credentialsIn({}, { username: new Secret('a'), password: new Secret('') })).toBeNull();
    expect(credentialsIn({ user: 'legacy', password: 'p' }, null)?.username).toBe('legacy');
    // It made no such passwords: of one PostgreSQL and clients may each derive another key.
    expect(credentialsIn({ username: 'a', password: 'pä' }, null)).toBeNull();
  });

  it.each([
    ['db-admin', {}, ['superuser']],
    ['db', {}, []],
    ['database', { data: '{"extra-user-roles":"SUPERUSER, createdb"}' }, ['superuser', 'createdb']],
    ['database', { data: '{"extra-user-roles":"admin"}' }, ['createdb']],
    ['database', { data: '{"extra-user-roles":["superuser"]}' }, []],
    ['database', { data: 'nonsense', 'extra-user-roles': 'SUPERUSER' }, []],
  ])('of rights on %s counts our copy of what was asked (%j)', (endpoint, bag, rights) => {
    expect(rightsIn(endpoint, bag)).toEqual(rights);
  });
});
