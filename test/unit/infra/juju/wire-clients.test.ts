import { describe, expect, it } from 'vitest';
import type { Bag } from '../../../../src/infra/juju/tools.ts';
import { askedBy, changesFor, labelsOf, secretsFor } from '../../../../src/infra/juju/wire/postgresql-client.ts';
import { relationIdOf } from '../../../../src/infra/juju/wire/relation-id.ts';
import { databagOf, Provider, requestedSecrets, v1Bag, v1Request } from '../../../support/juju/wire-charts.ts';

const v0Client = { database: 'orders', 'extra-user-roles': 'CREATEDB', 'requested-secrets': requestedSecrets };
const served = { 7: databagOf('orders', 'pgbouncer_orders_7') };

const orders = v1Request('orders', 'salt1');
const stock = v1Request('stock', 'salt2', { 'extra-user-roles': 'createrole,CREATEDB' });
const numberOf = (request: { readonly 'request-id': string }): number => relationIdOf(7, request['request-id']);
const both = {
  [numberOf(orders)]: databagOf('orders', 'pgbouncer_orders_1'),
  [numberOf(stock)]: databagOf('stock', 'pgbouncer_orders_2'),
};
const jsonOf = (bag: Bag, key: string): unknown => JSON.parse(bag[key] ?? 'null');
const reasonsOf = (provider: Provider, theirs: Bag): readonly string[] =>
  askedBy(provider.relation(theirs)).refusals.map(({ reason }) => reason);

describe('a client of v0', () => {
  it('hears nothing before it is served, and everything at once then', () => {
    const provider = new Provider();
    expect(askedBy(provider.relation(v0Client))).toEqual({
      requests: [{ requestId: null, id: 7, database: 'orders', extraUserRoles: ['createdb'] }],
      refusals: [],
    });
    expect(provider.dispatch(v0Client)).toEqual({});
    const told = provider.dispatch(v0Client, served);
    expect(Object.keys(told)).toEqual(
      expect.arrayContaining(['data', 'database', 'endpoints', 'secret-user', 'secret-tls', 'version']),
    );
    expect(JSON.stringify(told)).not.toContain('<password>');
    expect(provider.dispatch(v0Client, served)).toEqual({});
  });

  it('hears nothing while a secret is not granted', () => {
    const relation = new Provider().relation(v0Client);
    const answers = new Map([[relationIdOf(7, null), served[7]]]);
    expect(secretsFor(relation, answers).wanted.map(({ label }) => label)).toEqual([
      'database.7.user.secret',
      'database.7.tls.secret',
    ]);
    expect(changesFor(relation, answers, new Map([['database.7.tls.secret', 'secret:a']]))).toEqual({});
  });

  it('does not hear of another spelling of a secret', () => {
    const provider = new Provider();
    provider.dispatch(v0Client, served);
    provider.ours = { ...provider.ours, 'secret-user': 'secret://a-model/of-database-7-user-secret' };
    expect(provider.dispatch(v0Client, served)).toEqual({});
  });

  it('that began without secrets stays so when it comes to know of them', () => {
    const provider = new Provider();
    provider.dispatch({ database: 'orders' }, served);
    expect(provider.ours['password']).toBe('<password>');
    const changes = provider.dispatch({ ...v0Client, 'extra-user-roles': '' }, served);
    expect(Object.keys(changes)).toEqual(['data']);
  });

  it('is answered in the bag where Juju has no secrets', () => {
    const provider = new Provider({ hasSecrets: false });
    expect(provider.dispatch(v0Client, served)).toMatchObject({ username: 'pgbouncer_orders_7', tls: 'False' });
    expect(provider.secrets.size).toBe(0);
  });

  it('is served on as it first asked, when it changes what is fixed', () => {
    const provider = new Provider();
    provider.dispatch(v0Client, served);
    const changed = { ...v0Client, database: 'stock', 'extra-user-roles': '' };
    expect(askedBy(provider.relation(changed)).requests).toMatchObject([
      { database: 'orders', extraUserRoles: ['createdb'] },
    ]);
    expect(reasonsOf(provider, changed)).toEqual([
      expect.stringMatching(/^relation database:7 has changed its database, extra-user-roles: /),
    ]);
    provider.dispatch(changed, served);
    expect(jsonOf(provider.ours, 'data')).toMatchObject({ database: 'orders', 'extra-user-roles': 'CREATEDB' });
    provider.dispatch(v0Client, served);
    expect(provider.ours['status']).toBeUndefined();
  });

  it('that the ancestor gave rights of an administrator is not told to go', () => {
    const provider = new Provider();
    const asked = { ...v0Client, 'extra-user-roles': 'SUPERUSER,CREATEDB' };
    provider.ours = { data: JSON.stringify(asked), database: 'orders', 'secret-user': 'secret:a' };
    const { requests, refusals } = askedBy(provider.relation(asked));
    expect(requests).toMatchObject([{ database: 'orders', extraUserRoles: ['createdb'] }]);
    expect(refusals).toEqual([]);
    expect(provider.dispatch(asked)).toEqual({});
  });

  it('that takes its request back is forgotten, secrets and all', () => {
    const provider = new Provider();
    provider.dispatch(v0Client, served);
    provider.dispatch({}, served);
    expect([provider.ours, provider.secrets.size]).toEqual([{}, 0]);
  });

  it.each([
    ['an entity', { 'entity-type': 'GROUP' }],
    ['group roles', { 'extra-group-roles': 'readers' }],
    ['a login of its own', { 'requested-entity-secret': 'secret:x' }],
    ['databases by prefix', { 'prefix-matching': 'all' }],
    ['a role that is not given', { 'extra-user-roles': 'CREATEDB,admin' }],
    ['a database of ours', { database: 'pgbouncer' }],
    ['a name that cannot be written', { database: 'a b' }],
  ])('that asks for %s is told why it waits', (_, more) => {
    const provider = new Provider();
    const theirs = { ...v0Client, ...more };
    expect(askedBy(provider.relation(theirs)).requests).toEqual([]);
    provider.dispatch(theirs);
    expect(jsonOf(provider.ours, 'status')).toMatchObject([{ code: 5001, resolution: expect.any(String) }]);
    expect(Object.keys(provider.ours)).toEqual(['status']);
  });
});

describe('a client of v1', () => {
  it('has a login for each request', () => {
    const { requests, refusals } = askedBy(new Provider().relation(v1Bag(orders, stock)));
    expect(refusals).toEqual([]);
    expect(requests).toEqual([
      { requestId: orders['request-id'], id: numberOf(orders), database: 'orders', extraUserRoles: [] },
      {
        requestId: stock['request-id'],
        id: numberOf(stock),
        database: 'stock',
        extraUserRoles: ['createdb', 'createrole'],
      },
    ]);
    expect(orders['request-id']).toMatch(/^[0-9a-f]{16}$/);
    expect(Number.isSafeInteger(numberOf({ 'request-id': 'ffffffffffffffff' }))).toBe(true);
  });

  it('hears of each when it is served, by an id that is in data as well', () => {
    const provider = new Provider();
    const theirs = v1Bag(orders, stock);
    expect(provider.dispatch(theirs)).toEqual({});
    provider.dispatch(theirs, { [numberOf(stock)]: both[numberOf(stock)] ?? {} });
    expect(Object.keys(jsonOf(provider.ours, 'data') as object)).toEqual([stock['request-id']]);
    provider.dispatch(theirs, both);
    expect(Object.keys(jsonOf(provider.ours, 'data') as object)).toEqual([orders['request-id'], stock['request-id']]);
    expect(provider.ours['version']).toBe('v1');
    expect(JSON.stringify(provider.ours)).not.toContain('<password>');
    expect(provider.dispatch(theirs, both)).toEqual({});
    // An answer that is not given anew stays.
    expect(provider.dispatch(theirs)).toEqual({});
  });

  it('keeps what it has while its requests cannot be read', () => {
    const provider = new Provider();
    provider.dispatch(v1Bag(orders, stock), both);
    for (const requests of ['[{"resource"', '{}', '7']) {
      const theirs = { version: 'v1', requests };
      expect(askedBy(provider.relation(theirs)).requests.map(({ database }) => database)).toEqual(['orders', 'stock']);
      expect(reasonsOf(provider, theirs)[0]).toContain('its requests are no list in JSON');
      expect(Object.keys(provider.dispatch(theirs, both)).filter((key) => key === 'requests')).toEqual([]);
    }
  });

  it('keeps what it has of one request that cannot be read', () => {
    const provider = new Provider();
    provider.dispatch(v1Bag(orders, stock), both);
    const theirs = v1Bag({ ...orders, resource: 7 }, stock, { resource: 'x' }, 'nonsense');
    const { requests, refusals } = askedBy(provider.relation(theirs));
    expect(requests.map(({ database }) => database)).toEqual(['orders', 'stock']);
    expect(refusals.map(({ code }) => code)).toEqual([5003]);
    provider.dispatch(theirs, both);
    expect(Object.keys(jsonOf(provider.ours, 'data') as object)).toEqual(
      expect.arrayContaining([orders['request-id'], stock['request-id']]),
    );
  });

  it('is served on as it first asked, when it changes what is fixed', () => {
    const provider = new Provider();
    provider.dispatch(v1Bag(stock), both);
    const changed = v1Bag({ ...stock, 'extra-user-roles': null, resource: 'other' });
    expect(askedBy(provider.relation(changed)).requests).toMatchObject([
      { database: 'stock', extraUserRoles: ['createdb', 'createrole'] },
    ]);
    provider.dispatch(changed, both);
    expect(jsonOf(provider.ours, 'data')).toMatchObject({
      [stock['request-id']]: { resource: 'stock', 'extra-user-roles': 'createrole,CREATEDB' },
    });
    expect(jsonOf(provider.ours, 'status')).toMatchObject([{ code: 5002 }]);
  });

  it('hears of a status before data says that it has, which waits for a unit of its to show that', () => {
    const provider = new Provider();
    const bad = v1Request('stock', 'salt3', { 'entity-type': 'USER' });
    const statusIn = () => (jsonOf(provider.ours, 'data') as { status?: object }).status;
    provider.dispatch(v1Bag(orders, bad), both);
    expect([jsonOf(provider.ours, 'status'), statusIn()]).toEqual([
      [expect.objectContaining({ code: 5001 })],
      undefined,
    ]);
    expect(provider.dispatch(v1Bag(orders, bad), both, [{ data: '{"status":{"4000":{}}}' }])).toEqual({});
    provider.dispatch(v1Bag(orders, bad), both, [{}, { data: '{"status":{"5001":{}}}' }]);
    expect(statusIn()).toMatchObject({ 5001: { code: 5001 } });
    expect(provider.dispatch(v1Bag(orders, bad), both)).toEqual({});
    provider.dispatch(v1Bag(orders), both);
    expect([provider.ours['status'], statusIn()]).toMatchObject([undefined, { 5001: {} }]);
    provider.dispatch(v1Bag(orders), both);
    expect(statusIn()).toBeUndefined();
  });

  it('cannot be served without secrets, and hears why', () => {
    const provider = new Provider({ hasSecrets: false });
    provider.dispatch(v1Bag(orders), both);
    expect(Object.keys(provider.ours)).toEqual(['status']);
    expect(reasonsOf(provider, v1Bag(orders))[0]).toMatch(/credentials in Juju secrets only.*Juju 3\.0\.3/);
  });

  it.each([
    ['another name of the resource', { database: 'orders', salt: 'salt1', 'request-id': orders['request-id'] }],
    ['no id, but what it is made of', { resource: 'orders', salt: 'salt1' }],
    ['nothing beyond what is needed', { resource: 'orders', salt: 'salt1', 'request-id': orders['request-id'] }],
    ['something that nobody knows', { ...orders, colour: { deep: [1] } }],
  ])('may ask with %s', (_, request) => {
    const provider = new Provider();
    provider.dispatch(v1Bag(request), both);
    expect(jsonOf(provider.ours, 'data')).toEqual({
      [orders['request-id']]: expect.objectContaining({ resource: 'orders', salt: 'salt1' }),
    });
  });

  it('does not get the number of a request of its own twice', () => {
    const twin = { ...stock, 'request-id': `${orders['request-id'].slice(0, 8)}00000000` };
    expect(askedBy(new Provider().relation(v1Bag(orders, twin, orders))).requests).toHaveLength(1);
  });

  it.each(['status', '__proto__', 'a.b', '', 'a'.repeat(65)])('may not call a request "%s"', (id) => {
    const { requests, refusals } = askedBy(new Provider().relation(v1Bag({ resource: 'orders', 'request-id': id })));
    expect([requests, refusals]).toMatchObject([[], [{ code: 5003 }]]);
  });
});

describe('the secrets of a relation', () => {
  it('are told by their labels from what our bag says, whoever wrote it', () => {
    const provider = new Provider();
    provider.dispatch(v1Bag(orders, stock), both);
    const ours = { ...provider.ours, 'secret-extra': 'secret:x' };
    expect(labelsOf({ endpoint: 'database', id: 7 }, ours).toSorted()).toEqual(
      ['database.7.extra.secret', ...provider.secrets.keys()].toSorted(),
    );
  });

  it('that a client leaves behind when it turns to v1 are given up', () => {
    const provider = new Provider();
    provider.dispatch(v0Client, served);
    provider.dispatch(v1Bag(orders), both);
    expect([...provider.secrets.keys()].every((label) => label.includes(orders['request-id']))).toBe(true);
    expect(Object.keys(provider.ours).toSorted()).toEqual(['data', 'requests', 'version']);
  });
});
