import { expect, it } from 'vitest';
import { changeIntent } from '../../../src/actors/config/change.ts';
import type { Change } from '../../../src/actors/model/change.ts';
import type { Intent } from '../../../src/actors/model/intent.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import { intentCodec, publishedCodec } from '../../../src/infra/files/domain-codecs.ts';
import { SealKey } from '../../../src/infra/files/seal.ts';
import { application, publishedOf, specOf, userOf, wall } from '../../support/builders.ts';

const sealer = { key: new SealKey(Buffer.alloc(32, 1)), application };
const about = { application, author: 'a'.repeat(500), reason: 'r'.repeat(500), wall: wall(0) };
const timeouts = {
  queryTimeout: 31_536_000,
  transactionTimeout: 31_536_000,
  idleTransactionTimeout: 31_536_000,
  clientIdleTimeout: 31_536_000,
  queryWaitTimeout: 31_536_000,
};
const padded = (number: number, length: number): string => `x${String(number).padStart(length - 1, '0')}`;

/** As many as are taken, each as long as it may be, and what is said of one more. */
const filled = (before: Intent | null, changeOf: (number: number) => Change) => {
  let intent = before;
  for (let number = 0; ; number += 1) {
    const outcome = changeIntent(intent, changeOf(number), about, [], null);
    if (outcome.kind !== 'changed') return { intent, outcome, count: number };
    intent = outcome.intent;
  }
};

it('the largest intent that is taken, and the spec that follows from it, fit into what is kept of them', () => {
  const host = (number: number) => [63, 63, 63, 61].map((length) => padded(number, length)).join('.');
  const backends = filled(null, (number) => ({
    type: 'addBackend',
    name: padded(number, 40),
    endpoints: Array.from({ length: 16 }, (_, index) => `${host(number * 16 + index)}:65535`),
    username: padded(number, 63),
    password: new Secret('ü'.repeat(1_000)),
    maintenanceDatabase: padded(number, 63),
  }));
  expect([backends.count, backends.outcome]).toMatchObject([
    32,
    { kind: 'refused', reason: expect.stringMatching(/as many as there may be/) },
  ]);
  const clients = filled(backends.intent, (number) => ({
    type: 'addClient',
    name: padded(number, 39),
    database: padded(number, 54),
    backend: padded(0, 40),
    extraUserRoles: ['createdb', 'createrole'],
    settings: { poolMode: 'transaction', budget: 262_143, timeouts },
  }));
  expect([clients.count, clients.outcome]).toMatchObject([
    500,
    { kind: 'refused', reason: expect.stringMatching(/as many as there may be/) },
  ]);
  const { intent } = clients;
  if (intent === null) return expect.unreachable();
  expect(intentCodec.decode(sealer, 'intent', intentCodec.encode(sealer, 'intent', intent)).kind).toBe('decoded');

  const names = Object.values(intent.clients).map(({ database }) => database);
  const database = { backend: padded(0, 40), host: host(0), port: 65_535, maxConnections: 262_143 };
  const spec = specOf({
    databases: names.flatMap((name) => [
      { ...database, name, database: name, readOnly: false },
      { ...database, name: `${name}_readonly`, database: name, readOnly: true },
    ]),
    users: names.map((_, number) =>
      userOf(padded(number, 63), `SCRAM-SHA-256$4096:${'s'.repeat(120)}`, { poolMode: 'transaction', timeouts }),
    ),
  });
  const published = publishedOf({ digest: 'd'.repeat(0).padEnd(64, '0') as never, spec });
  const text = publishedCodec.encode(sealer, 'spec', published);
  expect([text.length, publishedCodec.decode(sealer, 'spec', text).kind]).toEqual([text.length, 'decoded']);
}, 30_000);
