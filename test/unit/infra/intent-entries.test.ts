import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { changeIntent } from '../../../src/actors/config/change.ts';
import { decideWith as decideConfigWith } from '../../../src/actors/config/decide.ts';
import { type ConfigEffect, initial as initialConfig } from '../../../src/actors/config/state.ts';
import type { BackendFacts } from '../../../src/actors/model/backend.ts';
import type { Change } from '../../../src/actors/model/change.ts';
import type { FleetSpec } from '../../../src/actors/model/fleet-spec.ts';
import type { Application } from '../../../src/actors/model/ids.ts';
import type { Intent, UnreadableEntry } from '../../../src/actors/model/intent.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { ClientMessage, ConfigMessage, ServedClient } from '../../../src/actors/protocol.ts';
import {
  decideWith as decideBackendWith,
  initial as initialBackend,
} from '../../../src/actors/relation/backend/decide.ts';
import { decideWith as decideClientWith } from '../../../src/actors/relation/client/decide.ts';
import { type ClientEffect, initial as initialClient } from '../../../src/actors/relation/client/state.ts';
import { decideWith as decideUnitWith, initial as initialUnit } from '../../../src/actors/unit/decide.ts';
import { fleetStatusOf } from '../../../src/actors/unit/fleet-status.ts';
import type { Sealer } from '../../../src/infra/files/codec.ts';
import { intentCodec } from '../../../src/infra/files/domain-codecs.ts';
import { SealKey } from '../../../src/infra/files/seal.ts';
import {
  accountOf,
  application,
  backendOf,
  clientOf,
  intentOf,
  leadershipOf,
  nonce,
  publishedOf,
  recordOf,
  relation,
  snapshotOf,
  unit,
  unitRecordOf,
  wall,
} from '../../support/builders.ts';

const sealer: Sealer = { key: new SealKey(Buffer.alloc(32, 1)), application: 'pgbouncer' as Application };

/** Two of each: one that stays as it is, and one in whose place something else is put. */
const whole = intentOf({
  nextRelation: relation(5),
  options: { pool_mode: 'session', default_pool_size: 7 },
  backends: { main: backendOf(), other: backendOf({ id: relation(4), endpoints: ['db2:5432'] }) },
  clients: { orders: clientOf(), reports: clientOf({ id: relation(3), database: 'reports', backend: 'other' }) },
});
const names = { options: 'pool_mode', backends: 'other', clients: 'reports' } as const;
type Kind = UnreadableEntry['of'];
const kinds = ['options', 'backends', 'clients'] as const;

const records = [
  recordOf(),
  recordOf({
    id: relation(3),
    name: 'reports',
    database: 'reports',
    backend: 'other',
    account: accountOf('pgbouncer_reports_3'),
  }),
];
const served = records.map(
  ({ id, name, database, backend, account }): ServedClient => ({ id, name, database, backend, account }),
);

const storedWith = (kind: Kind, value: unknown, name: string = names[kind]): string => {
  const tree: Record<Kind, Record<string, unknown>> = JSON.parse(intentCodec.encode(sealer, 'intent', whole));
  tree[kind][name] = value;
  return JSON.stringify(tree);
};
const read = (text: string): Intent => {
  const decoded = intentCodec.decode(sealer, 'intent', text);
  if (decoded.kind !== 'decoded') throw new Error(JSON.stringify(decoded));
  return decoded.value;
};
const broken = (kind: Kind): Intent => read(storedWith(kind, { id: kind === 'clients' ? 3 : 4, endpoints: 7 }));
const asked = (intent: Intent, change: Change): Intent => {
  const about = { application: 'pgbouncer', author: 'bob', reason: '', wall: wall(1) };
  const outcome = changeIntent(intent, change, about, records, [unitRecordOf(0)]);
  if (outcome.kind !== 'changed') throw new Error(JSON.stringify(outcome));
  return outcome.intent;
};
const without = (intent: Intent, kind: Kind): Intent => {
  const { [names[kind]]: _, ...rest } = intent[kind];
  return { ...intent, [kind]: rest };
};

describe('an entry of the intent that cannot be read', () => {
  it.each([
    ['nothing', 'clients', null],
    ['a text', 'clients', 'x'],
    ['a client of a number', 'clients', { ...clientOf({ id: relation(3) }), database: 7 }],
    ['a database that PgBouncer cannot name', 'clients', clientOf({ id: relation(3), database: "a'\n[pgbouncer]" })],
    ['the id of another one', 'backends', { ...backendOf({ id: relation(4) }), id: 2, password: 'clear' }],
    ['an id that was never given out', 'clients', clientOf({ id: relation(77) })],
    ['a password in clear', 'backends', { ...backendOf({ id: relation(4) }), password: 'clear' }],
    ['a seal of nobody', 'backends', { ...backendOf({ id: relation(4) }), password: { $sealed: { k: 'x' } } }],
    ['depth', 'clients', JSON.parse(`${'['.repeat(1_000)}${']'.repeat(1_000)}`)],
    ['a forbidden key', 'clients', JSON.parse('{"id":3,"__proto__":{"x":1}}')],
    ['a value that is none of its option', 'options', 'often'],
  ] as const)('is told with its name and its reason, and harms no other: %s', (_, kind, value) => {
    const intent = read(storedWith(kind, value));
    expect(intent.unreadable).toMatchObject([{ of: kind, name: names[kind], reason: expect.stringMatching(/./) }]);
    expect({ ...intent, unreadable: [] }).toEqual(without(whole, kind));
  });

  it('is written back as it was when something else is changed, and not read otherwise after that', () => {
    for (const kind of kinds) {
      const before = broken(kind);
      const after = asked(before, { type: 'setOptions', options: { default_pool_size: 9 } });
      const again = read(intentCodec.encode(sealer, 'intent', after));
      expect(again.unreadable).toEqual(before.unreadable);
      expect(again.options['default_pool_size']).toBe(9);
    }
  });

  it('that has the id of another one leaves none of the two to be taken for the other', () => {
    const twin = read(storedWith('clients', clientOf({ database: 'reports' })));
    expect(twin.unreadable.map(({ name }) => name)).toEqual(['orders', 'reports']);
    expect(twin.clients).toEqual({});
  });

  it('is mended by asking for it again, with the login it had, or removed', () => {
    const client = broken('clients');
    const integrate = {
      type: 'addClient',
      name: 'reports',
      database: 'reports',
      backend: 'other',
      extraUserRoles: null,
    } as const;
    expect(asked(client, integrate)).toMatchObject({
      clients: { reports: { id: 3 } },
      nextRelation: 5,
      unreadable: [],
    });
    expect(asked(client, { ...integrate, database: 'elsewhere' })).toMatchObject({ clients: { reports: { id: 5 } } });
    expect(asked(client, { type: 'removeRelation', name: 'reports' })).toMatchObject({
      unreadable: [],
      clients: { orders: {} },
    });
    const backend = {
      type: 'addBackend',
      name: 'other',
      endpoints: ['db2:5432'],
      username: 'u',
      password: new Secret('p'),
      maintenanceDatabase: null,
    } as const;
    expect(asked(broken('backends'), backend)).toMatchObject({ backends: { other: { id: 4 } }, unreadable: [] });
    expect(() => asked(broken('backends'), { type: 'removeRelation', name: 'other' })).toThrow(/still serves/);
    expect(asked(broken('options'), { type: 'setOptions', options: { pool_mode: null } })).toMatchObject({
      unreadable: [],
    });
  });
});

const ready = (host: string): BackendFacts => ({
  kind: 'ready',
  primary: { host, port: 5432 },
  standbys: [],
  silent: [],
  version: 170_000,
  systemId: host,
  timeline: 1,
  clientConnections: 97,
  maxConnections: 100,
  ailments: [],
});
/** Of every backend that can be looked at. */
const factsIn = (intent: Intent): ReadonlyMap<string, BackendFacts> =>
  new Map(Object.keys(intent.backends).map((name) => [name, ready(name === 'main' ? 'db1' : 'db2')]));
const under = leadershipOf().epoch;

const published = (
  intent: Intent,
  before: FleetSpec | null,
): { readonly spec: FleetSpec | null; readonly waits: readonly string[] } => {
  const decide = decideConfigWith({ self: unit(0), answerMs: 8_000, shrinkMs: 10_000, rejoinMs: 5_000 });
  const generation = before === null ? null : publishedOf({ spec: before });
  const messages: readonly ConfigMessage[] = [
    { type: 'observed', snapshot: snapshotOf({ intent, published: generation, relations: records }) },
    { type: 'leadershipTold', leadership: leadershipOf() },
    { type: 'backendsTold', facts: factsIn(intent), under },
    { type: 'clientsTold', clients: servedIn(intent, before) },
    { type: 'rosterTold', units: [unitRecordOf(0)] },
  ];
  let state = initialConfig;
  const effects: ConfigEffect[] = [];
  for (const [now, message] of messages.entries()) {
    const decided = decide(state, message, now);
    state = decided.state;
    effects.push(...(decided.effects ?? []));
  }
  const publish = effects.find((effect) => effect.type === 'publish');
  return { spec: publish?.spec ?? before, waits: state.waits.map(({ id }) => id) };
};

/** What the client actor does as leader, and whom it tells to serve. */
const clientDecisions = (intent: Intent, before: FleetSpec | null) => {
  const decide = decideClientWith({ application, laggardMs: 30_000, endpoints: null, auditMs: 2_000 });
  const messages: readonly ClientMessage[] = [
    { type: 'observed', snapshot: snapshotOf({ intent, relations: records }) },
    {
      type: 'generationTold',
      published: before === null ? null : publishedOf({ spec: before }),
      verdict: { covers: 0, good: null, refused: null },
    },
    { type: 'backendsTold', facts: factsIn(intent), under },
    { type: 'rosterTold', units: [unitRecordOf(0)] },
    { type: 'leadershipTold', leadership: leadershipOf() },
    ...['main', 'other'].map(
      (backend): ClientMessage => ({
        type: 'postgresAnswered',
        backend,
        relation: null,
        step: 'raiseFence',
        epoch: under,
        outcome: { kind: 'done' },
      }),
    ),
    ...['main', 'other'].map(
      (backend): ClientMessage => ({
        type: 'audited',
        backend,
        epoch: under,
        audit: { kind: 'audited', findings: [], logins: [{ relation: relation(3), username: 'pgbouncer_reports_3' }] },
      }),
    ),
    { type: 'ticked', wall: wall(0) },
  ];
  let state = initialClient;
  const effects: ClientEffect[] = [];
  for (const [now, message] of messages.entries()) {
    const decided = decide(state, message, now);
    state = decided.state;
    effects.push(...(decided.effects ?? []));
  }
  return { effects, served: state.told ?? [] };
};
const servedIn = (intent: Intent, before: FleetSpec | null): readonly ServedClient[] =>
  clientDecisions(intent, before).served;

const asPublished = published(whole, null).spec;

const looks = (intent: Intent) => {
  const decide = decideBackendWith({ leaderLookMs: 1, followerLookMs: 1, healingLookMs: 1 });
  const { state } = decide(initialBackend, { type: 'observed', snapshot: snapshotOf({ intent }) }, 0);
  const report = {
    available: true,
    address: '',
    verified: null,
    refused: null,
    instances: [],
    budget: [],
    tls: null,
    remarks: [],
    changing: false,
    leaving: null,
  };
  return decide(state, { type: 'workloadTold', report }, 1).effects ?? [];
};

const shown = (intent: Intent) => {
  const decide = decideUnitWith({
    self: unit(0),
    nonce: nonce('n0'),
    leaveAs: 'down',
    beatMs: 1_000,
    observeOnly: null,
  });
  const first = decide(
    initialUnit,
    { type: 'snapshotRead', snapshot: snapshotOf({ intent: whole, relations: records }) },
    0,
  );
  const { state } = decide(
    first.state,
    { type: 'snapshotRead', snapshot: snapshotOf({ intent, relations: records }) },
    1,
  );
  const view = {
    application,
    self: unit(0),
    pid: 1,
    version: '1',
    backplane: 'redis',
    departureGraceMs: 1,
    now: 2,
    wall: 3,
  };
  return fleetStatusOf(state, view).relations;
};

/** Of the one that stays as it is. */
const ofOrders = (spec: FleetSpec | null) => ({
  users: spec?.users.filter(({ name }) => name === 'pgbouncer_orders_2'),
  databases: spec?.databases.filter(({ name }) => name.startsWith('orders')),
});

describe('what is decided while an entry cannot be read', () => {
  it.each(kinds)('of %s: everything that is published stays published, and its wait says so', (kind) => {
    const { spec, waits } = published(broken(kind), asPublished);
    expect(spec).toEqual(asPublished);
    expect(waits).toContain(`${kind.slice(0, -1)}:${names[kind]}:intent`);
  });

  it('of a client: its login is neither dropped nor swept, and it is shown as blocked; once removed, it is dropped', () => {
    const { effects } = clientDecisions(broken('clients'), asPublished);
    expect(JSON.stringify(effects)).not.toContain('dropLogin');
    expect(shown(broken('clients'))).toContainEqual(
      expect.objectContaining({
        id: 3,
        name: 'reports',
        state: 'blocked',
        message: expect.stringContaining('ask for it again'),
      }),
    );
    const removed = clientDecisions(asked(broken('clients'), { type: 'removeRelation', name: 'reports' }), asPublished);
    expect(JSON.stringify(removed.effects)).toContain('"step":{"type":"dropLogin","relation":3');
  });

  it('of one kind: the others can be changed and removed', () => {
    const changed = asked(broken('backends'), { type: 'setOptions', options: { default_pool_size: 9 } });
    expect(published(changed, asPublished).spec?.options['default_pool_size']).toBe(9);
    const removed = asked(broken('clients'), { type: 'removeRelation', name: 'orders' });
    expect(published(removed, asPublished).spec?.users.map(({ name }) => name)).toEqual(['pgbouncer_reports_3']);
  });

  it('never throws, and is for the others what it is without it, whatever stands there', () => {
    const parts = {
      id: fc.oneof(fc.constant(3), fc.constant(4), fc.jsonValue()),
      database: fc.oneof(fc.constant('orders'), fc.string(), fc.jsonValue()),
      backend: fc.oneof(fc.constant('other'), fc.string(), fc.jsonValue()),
      extraUserRoles: fc.oneof(fc.constant([]), fc.jsonValue()),
      endpoints: fc.oneof(fc.array(fc.string()), fc.jsonValue()),
      username: fc.jsonValue(),
      password: fc.jsonValue(),
      timeouts: fc.jsonValue(),
      budget: fc.jsonValue(),
    };
    const hostile = fc.oneof(fc.jsonValue(), fc.record(parts, { requiredKeys: [] }), fc.record(parts));
    fc.assert(
      fc.property(fc.constantFrom(...kinds), hostile, (kind, value) => {
        const intent = read(storedWith(kind, JSON.parse(JSON.stringify(value))));
        shown(intent);
        const main = (effects: readonly object[]) =>
          JSON.stringify(effects.filter((effect) => JSON.stringify(effect).includes('"name":"main"')));
        expect(main(looks(intent))).toEqual(main(looks(whole)));
        const about = ({ effects }: ReturnType<typeof clientDecisions>) =>
          JSON.stringify(effects.filter((effect) => 'relation' in effect && effect.relation === 2));
        expect(about(clientDecisions(intent, asPublished))).toEqual(about(clientDecisions(whole, asPublished)));
        expect(ofOrders(published(intent, asPublished).spec)).toEqual(ofOrders(asPublished));
      }),
      { numRuns: 300 },
    );
  });

  it('of a client that takes the database of another one to another backend: it stays where it is', () => {
    const thief = read(storedWith('clients', { ...clientOf({ id: relation(3), backend: 'other' }) }));
    expect(thief.unreadable).toEqual([]);
    expect(ofOrders(published(thief, asPublished).spec)).toEqual(ofOrders(asPublished));
  });

  it('serves who is served already', () => {
    expect(clientDecisions(broken('clients'), asPublished).served.map(({ name }) => name)).toEqual(
      served.map(({ name }) => name),
    );
  });
});
