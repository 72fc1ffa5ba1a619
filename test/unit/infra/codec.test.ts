import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Application } from '../../../src/actors/model/ids.ts';
import { same } from '../../../src/actors/model/same.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import { canonical, digestOfSpec, revealed } from '../../../src/infra/files/canonical.ts';
import { type Codec, codecOf, type Sealer } from '../../../src/infra/files/codec.ts';
import {
  bagCodec,
  intentCodec,
  memoryCodec,
  publishedCodec,
  relationCodec,
  verdictCodec,
} from '../../../src/infra/files/domain-codecs.ts';
import { SealKey } from '../../../src/infra/files/seal.ts';
import {
  bagOf,
  clientOf,
  intentOf,
  nonce,
  publishedOf,
  recordOf,
  specOf,
  unit,
  userOf,
} from '../../support/builders.ts';

const sealer: Sealer = { key: new SealKey(Buffer.alloc(32, 1)), application: 'pgbouncer' as Application };
const published = publishedOf({
  digest: digestOfSpec(specOf()),
  spec: specOf({
    databases: [
      {
        name: 'orders',
        database: 'orders',
        backend: 'main',
        host: 'db',
        port: 5432,
        maxConnections: 0,
        readOnly: false,
      },
    ],
    users: [userOf('orders', 'SCRAM-SHA-256$x')],
  }),
});
const record = recordOf({ databag: { username: 'u', password: new Secret('p'), 'tls-ca': new Secret('c') } });
const bag = bagOf({
  refused: { generation: published.generation, reason: 'why' },
  instances: [{ id: 1, pid: null, state: 'failing', version: null }],
  waits: [{ id: 'w', kind: 'blocked', message: 'm', sinceWallMs: 1.5, on: 'o' }],
});
const verdict = {
  covers: 2,
  good: { generation: published.generation, intentVersion: 1, options: { a: 1, b: 'x', c: true } },
  refused: { intentVersion: 3, reason: 'why' },
};

const expectSame = <T>(codec: Codec<T>, value: T): void => {
  const text = codec.encode(sealer, 'object', value);
  const decoded = codec.decode(sealer, 'object', text);
  expect(decoded.kind).toBe('decoded');
  if (decoded.kind === 'decoded') expect(same(decoded.value, value)).toBe(true);
};

describe('what is kept of an object', () => {
  it('comes back equal, for every kind of object', () => {
    expectSame(intentCodec, intentOf());
    expectSame(publishedCodec, published);
    expectSame(verdictCodec, verdict);
    expectSame(verdictCodec, { covers: 0, good: null, refused: null });
    expectSame(relationCodec, record);
    expectSame(relationCodec, recordOf());
    expectSame(bagCodec, bag);
    expectSame(memoryCodec, { verified: published, waits: [{ id: 'w', sinceWallMs: 1 }] });
    expectSame(memoryCodec, { verified: null, waits: [] });
  });

  it('comes back with settings of clients and logins', () => {
    const timeouts = { queryTimeout: 30, clientIdleTimeout: 0 };
    expectSame(intentCodec, intentOf({ clients: { a: clientOf({ poolMode: 'session', budget: 10, timeouts }) } }));
    const users = [userOf('a', 'x', { poolMode: 'statement', maxConnections: 3, timeouts })];
    expectSame(publishedCodec, publishedOf({ digest: published.digest, spec: specOf({ users }) }));
  });

  it('is read as written by a version whose clients and logins had no settings', () => {
    const older = (text: string) =>
      text.replaceAll(/"(?:poolMode|budget)":null,?|"maxConnections":0,?|"timeouts":\{\},?/g, '').replaceAll(',}', '}');
    const spec = specOf({ users: [userOf('a', 'x')] });
    const intent = older(intentCodec.encode(sealer, 'intent', intentOf()));
    const generation = older(publishedCodec.encode(sealer, 'spec', publishedOf({ digest: published.digest, spec })));
    expect(intent + generation).not.toMatch(/poolMode|budget|timeouts|maxConnections/);
    expect(intentCodec.decode(sealer, 'intent', intent)).toMatchObject({ value: intentOf() });
    expect(publishedCodec.decode(sealer, 'spec', generation)).toMatchObject({ value: { spec } });
  });

  it('comes back with units that were asked to leave, and is read as written before units could be', () => {
    const departures = [{ unit: unit(1), nonce: nonce('0a1b'), forced: true }];
    expectSame(intentCodec, intentOf({ departures }));
    const older = intentCodec.encode(sealer, 'intent', intentOf()).replace('"departures":[],', '');
    expect(older).not.toContain('departures');
    expect(intentCodec.decode(sealer, 'intent', older)).toMatchObject({ value: intentOf() });
  });

  it('holds every secret sealed and everything else readable', () => {
    const text = relationCodec.encode(sealer, 'rel:2', record);
    expect(text).toContain('"username":"u"');
    expect(text).not.toContain('SCRAM');
    expect(text.match(/\$sealed/g)).toHaveLength(4);
  });

  it('does not open at another object, nor with its secrets changed over', () => {
    const text = relationCodec.encode(sealer, 'rel:2', record);
    expect(relationCodec.decode(sealer, 'rel:3', text).kind).toBe('corrupt');
    const [first, second] = [...text.matchAll(/\{"\$sealed":\{[^}]*\}\}/g)].map(([sealed]) => sealed);
    if (first === undefined || second === undefined) return expect.unreachable();
    const swapped = text.replace(first, '@').replace(second, first).replace('@', second);
    expect(relationCodec.decode(sealer, 'rel:2', swapped)).toMatchObject({
      kind: 'corrupt',
      reason: expect.stringContaining('was changed or moved'),
    });
  });

  it('names the key it was sealed with when that is another one', () => {
    const other: Sealer = { ...sealer, key: new SealKey(Buffer.alloc(32, 2)) };
    const text = relationCodec.encode(sealer, 'rel:2', record);
    expect(relationCodec.decode(other, 'rel:2', text)).toEqual({ kind: 'otherKey', keyId: sealer.key.id });
  });

  it('may have fields that a newer unit added', () => {
    const text = verdictCodec.encode(sealer, 'verdict', verdict).replace('{', '{"later":[1],');
    expect(verdictCodec.decode(sealer, 'verdict', text)).toEqual({ kind: 'decoded', value: verdict });
  });

  it('is refused when a secret stands in clear, or a sealed value where none belongs', () => {
    const text = relationCodec.encode(sealer, 'rel:2', recordOf());
    const clear = text.replace(/\{"\$sealed":\{[^}]*\}\}/, '"clear"');
    expect(relationCodec.decode(sealer, 'rel:2', clear).kind).toBe('corrupt');
    const anything = codecOf<unknown>(z.unknown(), 10_000);
    const wrongPlace = anything.encode(sealer, 'verdict', { ...verdict, covers: new Secret('1') });
    expect(verdictCodec.decode(sealer, 'verdict', wrongPlace).kind).toBe('corrupt');
  });

  it.each([
    ['nothing', ''],
    ['half of it', '{"covers":1,'],
    ['null', 'null'],
    ['a list', '[]'],
    ['a fraction', '{"covers":1.5,"good":null,"refused":null}'],
    ['a negative number', '{"covers":-1,"good":null,"refused":null}'],
    ['a number beyond 2^53', '{"covers":9007199254740993,"good":null,"refused":null}'],
    ['a text for a number', '{"covers":"1","good":null,"refused":null}'],
    ['a missing field', '{"covers":1,"good":null}'],
    ['a prototype', '{"covers":1,"good":null,"refused":null,"__proto__":{"x":1}}'],
    ['a constructor', '{"covers":1,"good":null,"refused":{"constructor":{}}}'],
    ['depth', '['.repeat(100_000)],
    ['balanced depth', `{"covers":1,"good":null,"refused":${'['.repeat(50)}${']'.repeat(50)}}`],
    ['a malformed seal', '{"covers":{"$sealed":{"k":"x"}},"good":null,"refused":null}'],
    ['a seal with company', '{"covers":1,"good":{"$sealed":{},"x":1},"refused":null}'],
    ['length', `{"covers":1,"good":null,"refused":null,"later":"${'x'.repeat(70_000)}"}`],
  ])('is refused as %s, with a reason and without a throw', (_, text) => {
    const answer = verdictCodec.decode(sealer, 'verdict', text);
    expect(answer.kind).toBe('corrupt');
  });

  it('is refused or equal, whatever one byte of it becomes', () => {
    const text = relationCodec.encode(sealer, 'rel:2', record);
    fc.assert(
      fc.property(fc.nat({ max: text.length - 1 }), fc.string({ minLength: 1, maxLength: 1 }), (at, letter) => {
        const answer = relationCodec.decode(sealer, 'rel:2', text.slice(0, at) + letter + text.slice(at + 1));
        if (answer.kind !== 'decoded') return true;
        const { account } = answer.value;
        return account.password.equals(record.account.password) && account.verifier.equals(record.account.verifier);
      }),
      { numRuns: 500 },
    );
  });

  it('says which field does not fit, never what is in it', () => {
    const text = '{"covers":1,"good":null,"refused":{"intentVersion":"hunter2","reason":""}}';
    const answer = verdictCodec.decode(sealer, 'verdict', text);
    expect(answer).toEqual({ kind: 'corrupt', reason: '/refused/intentVersion: invalid_type' });
  });
});

describe('canonical text', () => {
  it('is the same for equal values, whatever the order of keys', () => {
    const value = fc.object({ maxDepth: 3, withNullPrototype: false });
    fc.assert(fc.property(value, (it) => revealed(it) === revealed(reversed(it))));
  });

  it('tells fields apart whose names hold the separator', () => {
    const fields: string[] = [];
    canonical({ 'a/b': new Secret('1'), a: { b: new Secret('2') }, 'a~1b': new Secret('3') }, (_secret, field) =>
      fields.push(field),
    );
    expect(new Set(fields).size).toBe(3);
  });

  it('of a spec has a digest that a changed verifier changes', () => {
    const one = specOf({ users: [userOf('a', '1')] });
    const two = specOf({ users: [userOf('a', '2')] });
    expect(digestOfSpec(one)).not.toBe(digestOfSpec(two));
    expect(digestOfSpec(one)).toBe(digestOfSpec(copyOf(one)));
  });
});

const reversed = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toReversed()
      .map(([key, item]) => [key, reversed(item)]),
  );
};
const copyOf = (spec: ReturnType<typeof specOf>) => ({
  ...spec,
  users: spec.users.map((user) => ({ ...user })),
});
