import { describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/actors/model/secret.ts';
import { keyValues } from '../../../../src/infra/juju/wire/key-values.ts';
import { askedByPgsql, pgsqlChangesFor, type PgsqlRelation } from '../../../../src/infra/juju/wire/pgsql.ts';
import { databagOf, pgsqlRelation, written } from '../../../support/juju/wire-charts.ts';

const answer = databagOf('orders', 'pgbouncer_shop_9');
const theirs = (application: Record<string, string>, units: PgsqlRelation['theirs']['units'] = {}) =>
  pgsqlRelation({ theirs: { application, units } });

describe('a legacy client', () => {
  it('is not heard before it asks for a database', () => {
    expect(askedByPgsql(theirs({}, { 'shop/0': {} }))).toEqual({ requests: [], refusals: [] });
    expect(pgsqlChangesFor(theirs({}), answer)).toEqual({});
  });

  it('may ask in the bag of a unit', () => {
    expect(askedByPgsql(theirs({}, { 'shop/1': { database: 'orders' } })).requests).toEqual([
      { requestId: null, id: 9, database: 'orders', extraUserRoles: [] },
    ]);
  });

  it('gets back what it asked for as it wrote it', () => {
    const changes = pgsqlChangesFor(theirs({ database: 'orders', roles: 'b,a' }), answer);
    expect(changes).toMatchObject({ database: 'orders', roles: 'b,a' });
  });

  it('is not told to read where nothing is to be read', () => {
    const plain = databagOf('orders', 'pgbouncer_shop_9', { readable: false });
    const before = pgsqlRelation({ ours: written({}, pgsqlChangesFor(pgsqlRelation(), answer)) });
    expect(pgsqlChangesFor(before, plain)).toEqual({ standbys: '' });
  });

  it('hears of a unit that comes, and of its subnets, and of nothing else', () => {
    const ours = written({}, pgsqlChangesFor(pgsqlRelation(), answer));
    const { application, units } = pgsqlRelation().theirs;
    const grown = { ...units, 'shop/2': { 'egress-subnets': '10.1.0.8/32, 10.1.0.5/32' } };
    expect(pgsqlChangesFor(pgsqlRelation({ ours, theirs: { application, units: grown } }), answer)).toEqual({
      'allowed-subnets': '10.1.0.5/32,10.1.0.6/32,10.1.0.7/32,10.1.0.8/32',
      'allowed-units': 'shop/0,shop/1,shop/2',
    });
    expect(pgsqlChangesFor(pgsqlRelation({ ours }), answer)).toEqual({});
  });

  it('is served on when its units are gone, when it asks for another database, and when it asks for extensions', () => {
    const ours = written({}, pgsqlChangesFor(pgsqlRelation(), answer));
    for (const [application, codes] of [
      [{}, []],
      [{ database: 'stock' }, [5002]],
      [{ database: 'orders', extensions: 'citext' }, [5001]],
    ] as const) {
      const { requests, refusals } = askedByPgsql(pgsqlRelation({ ours, theirs: { application, units: {} } }));
      expect([requests[0]?.database, refusals.map(({ code }) => code)]).toEqual(['orders', codes]);
    }
  });

  it('is led to all addresses, IPv6 without its brackets', () => {
    const changes = pgsqlChangesFor(pgsqlRelation(), { ...answer, endpoints: '10.0.0.1:30001,[fd00::1]:30002' });
    expect(changes['master']).toMatch(/^host=10\.0\.0\.1,fd00::1 dbname=orders port=30001,30002 user=/);
    expect([changes['host'], changes['port']]).toEqual(['10.0.0.1', '30001']);
  });

  it('reads a password with anything in it', () => {
    const changes = pgsqlChangesFor(pgsqlRelation(), { ...answer, password: new Secret(`it's a\\b`) });
    expect(changes['master']).toContain(String.raw`password='it\'s a\\b' fallback`);
  });
});

it('a connection string quotes what would end early', () => {
  expect(
    keyValues([
      ['a', ''],
      ['b', 'x y'],
      ['c', `'`],
      ['d', 'z'],
    ]),
  ).toBe(String.raw`a='' b='x y' c=\' d=z`);
});
