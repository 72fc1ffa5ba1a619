import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Secret } from '../../../../src/actors/model/secret.ts';
import type { Databag } from '../../../../src/actors/model/snapshot.ts';
import type { Bag } from '../../../../src/infra/juju/tools.ts';
import { backendAnswerIn, backendOf, backendRequest } from '../../../../src/infra/juju/wire/backend.ts';
import { responsesIn } from '../../../../src/infra/juju/wire/client-v1.ts';
import { askedByPgsql, pgsqlChangesFor } from '../../../../src/infra/juju/wire/pgsql.ts';
import { askedBy, labelsOf } from '../../../../src/infra/juju/wire/postgresql-client.ts';
import { ancestorIn, authFileIn, credentialsIn } from '../../../../src/infra/juju/wire/taken-over.ts';
import {
  backendRelation,
  databagOf,
  pgsqlRelation,
  Provider,
  requestedSecrets,
  v1Request,
  written,
} from '../../../support/juju/wire-charts.ts';

const password = 'the-password-of-a-client';

const deep = '['.repeat(20_000) + ']'.repeat(20_000);
const word = fc.oneof(
  fc.constantFrom('', 'v1', 'v2', 'orders', 'CREATEDB', 'USER', 'null', '{}', '[]', 'True', 'secret:abc', deep, '\0'),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.json({ maxDepth: 4 }),
);
const request = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'orders').map((salt) => v1Request('orders', salt)) },
  fc
    .tuple(
      fc.constantFrom('a', 'b'),
      fc.dictionary(fc.constantFrom('resource', 'salt', 'request-id', 'x'), fc.jsonValue()),
    )
    .map(([salt, more]) => ({ ...v1Request('orders', salt), ...more })),
  fc.jsonValue({ maxDepth: 3 }),
);
const requests = fc.array(request, { maxLength: 5 }).map((list) => JSON.stringify(list));
const keys = [
  'database',
  'version',
  'requests',
  'data',
  'status',
  'requested-secrets',
  'extra-user-roles',
  'entity-type',
]
  .concat(['secret-user', 'secret-tls', 'username', 'password', 'endpoints', 'tls', 'extensions', 'egress-subnets'])
  .concat(['pgb_dbs_config', 'auth-file', '__proto__', 'constructor', 'toString']);
const anyBag: fc.Arbitrary<Bag> = fc.oneof(
  fc.dictionary(fc.constantFrom(...keys), word),
  fc.record({ version: fc.constant('v1'), requests }),
  fc.record({ version: fc.constantFrom('', 'v1'), requests, database: word }, { requiredKeys: [] }),
  fc.constant({ database: 'orders', 'requested-secrets': requestedSecrets }),
);

/** Everything that is asked for, answered. */
const answersTo = (provider: Provider, theirs: Bag): Readonly<Record<number, Databag>> =>
  Object.fromEntries(
    askedBy(provider.relation(theirs)).requests.map(({ id, database }) => [
      id,
      {
        ...databagOf(database, `login_${id}`),
        password: new Secret(password),
        uris: new Secret(`postgresql://${password}`),
      },
    ]),
  );

describe('whatever stands in bags', () => {
  it('a client is answered soundly, in the same way twice, and no password comes to lie in a bag where secrets are asked for', () => {
    fc.assert(
      fc.property(anyBag, fc.array(anyBag, { minLength: 1, maxLength: 3 }), fc.boolean(), (ours, lives, answered) => {
        const provider = new Provider();
        provider.ours = written({}, ours);
        for (const theirs of lives) {
          const { requests: asked } = askedBy(provider.relation(theirs));
          expect(new Set(asked.map(({ id }) => id)).size).toBe(asked.length);
          const answers = answered ? answersTo(provider, theirs) : {};
          const changes = provider.dispatch(theirs, answers);
          for (const value of Object.values(changes)) expect(typeof value).toBe('string');
          expectSound(provider.ours, theirs, changes);
          // The statuses that were told are noted one dispatch later, and then all is said.
          provider.dispatch(theirs, answers);
          expect(provider.dispatch(theirs, answers)).toEqual({});
        }
      }),
      { numRuns: 250 },
    );
  });

  it('a legacy client is answered soundly', () => {
    fc.assert(
      fc.property(anyBag, anyBag, anyBag, (application, unit, ours) => {
        const relation = pgsqlRelation({ theirs: { application, units: { 'shop/0': unit } }, ours });
        const changes = pgsqlChangesFor(relation, databagOf('orders', 'login'));
        const after = { ...relation, ours: written(ours, changes) };
        expect(pgsqlChangesFor(after, databagOf('orders', 'login'))).toEqual({});
        if (Object.keys(changes).length > 0) expect(askedByPgsql(after).requests).toHaveLength(1);
      }),
      { numRuns: 250 },
    );
  });

  it('PostgreSQL is found, waited for or refused, and our request is written once', () => {
    const content = fc.dictionary(fc.constantFrom('username', 'password', 'tls', 'tls-ca'), word);
    fc.assert(
      fc.property(anyBag, anyBag, content, content, (theirs, before, user, tls) => {
        const ours = written(before, backendRequest(before, 'salt'));
        expect(backendRequest(ours, 'other')).toEqual({});
        const sealed = (texts: Readonly<Record<string, string>>) =>
          Object.fromEntries(Object.entries(texts).map(([key, value]) => [key, new Secret(value)]));
        const answer = backendAnswerIn({ ...backendRelation, theirs, ours });
        const reading = backendOf(backendRelation, answer, { user: sealed(user), tls: sealed(tls) });
        if (reading.kind === 'found') expect(reading.backend.endpoints.length).toBeGreaterThan(0);
        else expect(reading.reason).toMatch(/\S/);
      }),
      { numRuns: 250 },
    );
  });

  it('what the ancestor left is read or not', () => {
    fc.assert(
      fc.property(anyBag, word, (bag, text) => {
        ancestorIn(bag);
        authFileIn({ 'auth-file': new Secret(text) });
        const found = credentialsIn(bag, null);
        if (found !== null) expect(found.username).not.toBe('');
      }),
    );
  });
});

const expectSound = (ours: Bag, theirs: Bag, changes: Bag): void => {
  for (const label of labelsOf({ endpoint: 'database', id: 7 }, ours))
    expect(label).toMatch(/^database\.7\.[\w.-]+\.secret$/);
  if (theirs['version'] !== 'v1') return;
  expect(JSON.stringify(changes)).not.toContain(password);
  if (ours['version'] !== 'v1') return;
  const data = JSON.parse(ours['data'] ?? '{}') as Readonly<Record<string, unknown>>;
  const answered = [...responsesIn(ours).keys()];
  expect(answered.length).toBeGreaterThan(0);
  expect(Object.keys(data)).toEqual(expect.arrayContaining(answered));
  for (const value of Object.values(data)) expect(value).toBeTypeOf('object');
};
