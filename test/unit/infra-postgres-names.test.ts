import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { textOf } from '../../src/actors/model/backend.ts';
import { serverOf } from '../../src/infra/postgres/endpoint.ts';
import {
  changingSessionsOf,
  databaseTagOf,
  faultOfName,
  faultOfRoleName,
  fenceDatabaseOf,
  loginTagOf,
  ownerRoleOf,
  relationOfTag,
} from '../../src/infra/postgres/names.ts';

describe('names in PostgreSQL', () => {
  it('are refused where PostgreSQL would cut or reserve them', () => {
    expect(faultOfName('database', 'ü'.repeat(31))).toBeNull();
    expect(faultOfName('database', 'ü'.repeat(32))).toContain('64 bytes');
    expect(faultOfName('database', '')).toContain('empty');
    expect(faultOfName('database', 'a\0b')).toContain('zero byte');
    expect(faultOfRoleName('login', 'pg_reader')).toContain('reserves');
    expect(faultOfRoleName('login', 'public')).toContain('reserves');
    expect(faultOfRoleName('login', 'reader')).toBeNull();
  });

  it('that are derived fit, and differ where what they come from differs', () => {
    const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 63 });
    const beginning = 'x'.repeat(55);
    const similar = fc.stringMatching(/^[ab]{1,8}$/).map((end) => beginning + end);
    fc.assert(
      fc.property(fc.oneof(name, similar), fc.oneof(name, similar), (one, other) => {
        for (const derive of [ownerRoleOf, fenceDatabaseOf, changingSessionsOf]) {
          expect(faultOfName('derived', derive(one))).toBeNull();
          expect(Buffer.from(derive(one)).toString()).toBe(derive(one));
          expect(derive(one) === derive(other)).toBe(one === other);
        }
      }),
    );
  });

  it('that are short stay readable', () => {
    expect(ownerRoleOf('orders')).toBe('troupe_owner_orders');
    expect(fenceDatabaseOf('pgbouncer')).toBe('troupe_pgbouncer');
    expect(changingSessionsOf('pgbouncer')).toBe('troupe-admin/pgbouncer');
  });
});

describe('a tag', () => {
  it('names its relation to its own application, and nothing to others', () => {
    expect(relationOfTag('pgbouncer', loginTagOf('pgbouncer', 12))).toBe(12);
    expect(relationOfTag('pgbouncer', loginTagOf('pgbouncer2', 12))).toBeNull();
    expect(relationOfTag('pgbouncer', databaseTagOf('pgbouncer', '12'))).toBeNull();
    expect(relationOfTag('pgbouncer', loginTagOf('pgbouncer', 2 ** 52))).toBe(2 ** 52);
    for (const other of [
      null,
      '',
      'troupe:pgbouncer:9007199254740993',
      'troupe:pgbouncer:',
      'troupe:pgbouncer:1x',
      'troupe:pgbouncer:-1',
      'the shop',
    ])
      expect(relationOfTag('pgbouncer', other)).toBeNull();
  });
});

describe('an endpoint', () => {
  it.each([
    ['db1:5433', 'db1', 5433, 'db1:5433'],
    ['db1', 'db1', 5432, 'db1:5432'],
    ['10.0.0.7:65535', '10.0.0.7', 65_535, '10.0.0.7:65535'],
    ['[fe80::1%eth0]:5432', 'fe80::1%eth0', 5432, '[fe80::1%eth0]:5432'],
    ['[::1]', '::1', 5432, '[::1]:5432'],
    ['/run/postgresql:5433', '/run/postgresql', 5433, '/run/postgresql:5433'],
  ])('%s is a server', (endpoint, host, port, text) => {
    expect(serverOf(endpoint)).toEqual({ host, port });
    expect(textOf({ host, port })).toBe(text);
  });

  it.each(['', ':5432', 'db1:', 'db1:0', 'db1:65536', 'db1:port', '::1', 'a b', '[db1', 'db1:5432:1'])(
    '%j is none',
    (endpoint) => {
      expect(serverOf(endpoint)).toBeNull();
    },
  );
});
