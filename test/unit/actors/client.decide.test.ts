import { describe, expect, it } from 'vitest';
import type { Audit, BackendFacts, PostgresStep } from '../../../src/actors/model/backend.ts';
import type { DamagedObject, RelationRecord } from '../../../src/actors/model/snapshot.ts';
import type { ClientMessage } from '../../../src/actors/protocol.ts';
import { databagOf } from '../../../src/actors/relation/client/databag.ts';
import { decideWith, dueAt } from '../../../src/actors/relation/client/decide.ts';
import { type ClientEffect, type ClientState, initial } from '../../../src/actors/relation/client/state.ts';
import {
  accountOf,
  application,
  bagOf,
  clientOf,
  generation,
  intentOf,
  leadershipOf,
  publishedOf,
  recordOf,
  relation,
  snapshotOf,
  unit,
  specOf,
  unitRecordOf,
  userOf,
  wall,
} from '../../support/builders.ts';

const decide = decideWith({ application, laggardMs: 30_000, endpoints: null, auditMs: 2_000 });
const ready: BackendFacts = {
  kind: 'ready',
  primary: { host: 'db1', port: 5432 },
  standbys: [],
  version: 170_011,
  systemId: '1',
  timeline: 1,
  silent: [],
  clientConnections: 97,
  maxConnections: 100,
  ailments: [],
};
const away: BackendFacts = { kind: 'away', reason: 'connection refused' };

/** A client actor that is fed messages; effects and tells since the last look are kept. */
const actor = () => {
  let state: ClientState = initial;
  let now = 0;
  let effects: ClientEffect[] = [];
  let served: readonly string[] | null = null;
  const feed = (message: ClientMessage, after = 1) => {
    now += after;
    const decided = decide(state, message, now);
    state = decided.state;
    effects.push(...(decided.effects ?? []));
    for (const [, fact] of decided.tell ?? [])
      if (fact.type === 'clientsTold') served = fact.clients.map(({ name }) => name);
  };
  return {
    feed,
    observe: (relations: readonly RelationRecord[] = [], intent = intentOf(), units = [unitRecordOf(0)]) =>
      feed({ type: 'observed', snapshot: snapshotOf({ intent, relations, units }) }),
    lead: (number = 1) => feed({ type: 'leadershipTold', leadership: leadershipOf({ epoch: number as never }) }),
    facts: (facts: BackendFacts, under = leadershipOf().epoch) =>
      feed({ type: 'backendsTold', facts: new Map([['main', facts]]), under }),
    done: (step: PostgresStep['type'], id: number | null) =>
      feed({
        type: 'postgresAnswered',
        backend: 'main',
        relation: id === null ? null : relation(id),
        step,
        epoch: leadershipOf().epoch,
        outcome: { kind: 'done' },
      }),
    audited: (found: Partial<Extract<Audit, { kind: 'audited' }>> = {}, epoch = leadershipOf().epoch) =>
      feed({ type: 'audited', backend: 'main', epoch, audit: { kind: 'audited', logins: [], findings: [], ...found } }),
    take: () => {
      const taken = effects;
      effects = [];
      return taken;
    },
    waits: () => state.waits.map(({ id }) => id),
    served: () => served,
    state: () => state,
  };
};
const stepsOf = (effects: readonly ClientEffect[]) =>
  effects.map((effect) => (effect.type === 'postgres' ? effect.step.type : effect.type));

describe('TLS in a databag', () => {
  const pem = (name: string) => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`;
  const toldWith = (...authorities: readonly (string | null)[]) => {
    const units = authorities.map((its, number) =>
      unitRecordOf(number, { bag: bagOf({ tls: its === null ? null : { authorities: its } }) }),
    );
    const { tls, 'tls-ca': ca } = databagOf(recordOf({}), units, { version: '17.2', isReadable: false });
    return { tls, ca };
  };

  it.each([
    ['none serves it', [null, null]],
    ['not all serve it', [pem('a'), null]],
    ['nobody is there', []],
  ])('is not promised while %s', (_, units) => {
    expect(toldWith(...units)).toEqual({ tls: 'False', ca: undefined });
  });

  it('is promised once all serve it, with whom to trust, each once and in the order of the units', () => {
    expect(toldWith(pem('a'), pem('a'))).toEqual({ tls: 'True', ca: pem('a') });
    expect(toldWith(`${pem('b')}\r\n${pem('a')}`, pem('a'), pem('c'))).toEqual({
      tls: 'True',
      ca: pem('b') + pem('a') + pem('c'),
    });
  });

  it('never grows beyond what a databag holds', () => {
    const units = Array.from({ length: 30 }, (_, number) => pem(`${number}`.padStart(4_000, 'x')));
    const { tls, ca } = toldWith(...units);
    expect(tls).toBe('True');
    expect(typeof ca === 'string' && ca.length).toBeLessThanOrEqual(40_000);
    expect(ca).toContain(units[8]);
  });

  it('does not count units that are away', () => {
    const units = [
      unitRecordOf(0, { bag: bagOf({ tls: { authorities: pem('a') } }) }),
      unitRecordOf(1, { presence: 'silent' }),
    ];
    expect(databagOf(recordOf({}), units, { version: '17.2', isReadable: false })).toMatchObject({ tls: 'True' });
  });
});

describe('a client that makes logins of its own', () => {
  const maker = intentOf({ clients: { orders: clientOf({ extraUserRoles: ['createrole'] }) } });
  const lookup = accountOf('pgbouncer_orders_2_lookup');
  const leading = (record: RelationRecord, intent = maker) => {
    const client = actor();
    client.observe([record], intent);
    client.facts(ready);
    client.lead();
    client.done('raiseFence', null);
    client.audited();
    client.feed({ type: 'generationTold', published: publishedOf({ spec: servedSpec }), verdict: noVerdict });
    client.feed({ type: 'rosterTold', units: [unitRecordOf(0)] });
    return client;
  };
  const servedSpec = specOf({ users: [userOf('pgbouncer_orders_2', 'SCRAM-SHA-256$x')], slots: [] });
  const noVerdict = { covers: 0, good: null, refused: null };
  const published = recordOf({
    databag: databagOf(recordOf({}), [unitRecordOf(0)], { version: '17.11', isReadable: false }),
  });

  it('has what they need made step by step, after its credentials and not before', () => {
    const client = leading(recordOf({ provisioned: true, databag: null }));
    const writes = client.take().filter(({ type }) => type === 'writeRecord');
    expect(writes).toMatchObject([{ record: { databag: { tls: 'False' } } }]);
    client.feed({ type: 'recordAnswered', record: published, outcome: 'committed' });
    expect(client.take()).toMatchObject([{ type: 'mint', lookup: true, username: 'pgbouncer_orders_2_lookup' }]);
    client.feed({ type: 'minted', id: relation(2), account: lookup, lookup: true });
    const noted = { ...published, lookup: { account: lookup, ready: false } };
    expect(client.take()).toMatchObject([{ type: 'writeRecord', record: noted }]);
    client.feed({ type: 'recordAnswered', record: noted, outcome: 'committed' });
    expect(client.take()).toMatchObject([
      { step: { type: 'ensureLookup', database: 'orders', username: 'pgbouncer_orders_2', lookup } },
    ]);
    client.done('ensureLookup', 2);
    expect(client.take().filter(({ type }) => type === 'writeRecord')).toMatchObject([
      { record: { lookup: { ready: true } } },
    ]);
  });

  it('keeps its credentials while PostgreSQL refuses that, and says why', () => {
    const client = leading({ ...published, lookup: { account: lookup, ready: false } });
    client.take();
    client.feed({
      type: 'postgresAnswered',
      backend: 'main',
      relation: relation(2),
      step: 'ensureLookup',
      epoch: leadershipOf().epoch,
      outcome: { kind: 'refused', reason: 'no right' },
    });
    expect(client.waits()).toEqual(['client:orders:trouble']);
    expect(client.served()).toEqual(['orders']);
  });

  it('has it mended when the audit misses something of it', () => {
    const client = leading({ ...published, lookup: { account: lookup, ready: true } });
    client.take();
    client.audited({ findings: [{ kind: 'mendable', relation: 2, step: 'ensureLookup' }] });
    expect(client.take()).toMatchObject([{ step: { type: 'ensureLookup', lookup } }]);
  });

  it.each([
    ['all of it goes with the last of them', {}, true],
    [
      'others of its database keep theirs',
      { other: clientOf({ id: relation(3), extraUserRoles: ['createrole'] }) },
      false,
    ],
    ['one without that right keeps nothing of it', { other: clientOf({ id: relation(3) }) }, true],
  ])('is removed so that %s', (_, clients, isLast) => {
    const client = leading({ ...published, lookup: { account: lookup, ready: true } }, intentOf({ clients }));
    const steps = client.take().flatMap((effect) => (effect.type === 'postgres' ? [effect.step] : []));
    expect(steps).toContainEqual({
      type: 'dropLookup',
      relation: 2,
      database: 'orders',
      username: 'pgbouncer_orders_2_lookup',
      isLast,
    });
    client.done('dropLookup', 2);
    expect(stepsOf(client.take())).toContain('dropLogin');
  });
});

describe('client relations', () => {
  it('do nothing before this unit leads', () => {
    const client = actor();
    client.observe();
    client.facts(ready);
    expect(client.take()).toEqual([]);
    expect(client.waits()).toEqual([]);
  });

  it('are provisioned step by step: minted, recorded, fenced, database, login, recorded as provisioned', () => {
    const client = actor();
    client.observe();
    client.facts(ready);
    client.lead();
    expect(stepsOf(client.take())).toEqual(['mint', 'raiseFence']);
    client.feed({ type: 'minted', id: relation(2), account: accountOf() });
    const [write] = client.take();
    expect(write).toMatchObject({ type: 'writeRecord', record: { provisioned: false, databag: null } });
    client.done('raiseFence', null);
    client.take();
    const record = recordOf({ provisioned: false });
    client.feed({ type: 'recordAnswered', record, outcome: 'committed' });
    client.audited();
    expect(stepsOf(client.take())).toEqual(['ensureDatabase']);
    client.done('ensureDatabase', 2);
    expect(stepsOf(client.take())).toEqual(['ensureLogin']);
    expect(client.served()).toEqual([]);
    client.done('ensureLogin', 2);
    expect(client.take()).toMatchObject([{ type: 'writeRecord', record: { provisioned: true } }]);
    client.feed({ type: 'recordAnswered', record: recordOf({ provisioned: true }), outcome: 'committed' });
    expect(client.served()).toEqual(['orders']);
  });

  it('keep what they were given by whoever served them before: database and login are adopted instead of made', () => {
    const { password } = accountOf();
    const inherited = [{ id: relation(2), username: 'relation_id_2', password, rights: ['createdb'] as const }];
    const client = actor();
    const observe = (relations: readonly RelationRecord[], damaged: readonly DamagedObject[] = []) =>
      client.feed({ type: 'observed', snapshot: snapshotOf({ intent: intentOf(), relations, inherited, damaged }) });
    observe([]);
    client.facts(ready);
    client.lead();
    expect(client.take()[0]).toEqual({ type: 'keep', id: relation(2), username: 'relation_id_2', password });
    const account = accountOf('relation_id_2');
    client.feed({ type: 'minted', id: relation(2), account });
    const record = recordOf({ account, adopted: ['createdb'], provisioned: false, databag: null });
    expect(client.take()).toMatchObject([{ type: 'writeRecord', record }]);
    client.done('raiseFence', null);
    client.feed({ type: 'recordAnswered', record, outcome: 'staged' });
    client.audited();
    client.take();
    client.done('adoptDatabase', 2);
    expect(client.take()).toMatchObject([
      { step: { type: 'adoptLogin', username: 'relation_id_2', password, rights: ['createdb'] } },
    ]);
    client.done('adoptLogin', 2);
    expect(client.take()).toMatchObject([{ type: 'writeRecord', record: { ...record, provisioned: true } }]);

    // Should its record be damaged one day, it is served on under the name that it has.
    const spec = specOf({ users: [userOf('relation_id_2', account.verifier)] });
    client.feed({
      type: 'generationTold',
      published: publishedOf({ spec }),
      verdict: { covers: 0, good: null, refused: null },
    });
    observe([], [{ object: 'rel:2', relation: relation(2), unit: null, reason: 'x' }]);
    expect(client.served()).toEqual(['orders']);
  });

  it.each([
    ['are adopted first when they go before that, so that nothing of them stays', 'done'],
    ['go without it when they cannot be', 'refused'],
  ] as const)('that were served by somebody else %s', (_, kind) => {
    const account = accountOf('relation_id_2');
    const record = recordOf({ account, adopted: [], provisioned: false, databag: null });
    const client = actor();
    client.observe([record], intentOf({ clients: {} }));
    client.facts(ready);
    client.lead();
    client.done('raiseFence', null);
    client.audited();
    client.take();
    client.done('adoptDatabase', 2);
    const [adopting] = client.take();
    expect(adopting).toMatchObject({ step: { type: 'adoptLogin', username: 'relation_id_2' } });
    const answer = { type: 'postgresAnswered', backend: 'main', relation: relation(2), step: 'adoptLogin' } as const;
    const outcome = kind === 'done' ? { kind } : { kind, reason: 'it has another password' };
    client.feed({ ...answer, epoch: leadershipOf().epoch, outcome });
    client.feed({ type: 'ticked', wall: wall(1) }, 5_000);
    expect(client.take()).toMatchObject([{ step: { type: 'dropLogin', username: 'relation_id_2' } }]);
    client.done('dropLogin', 2);
    expect(stepsOf(client.take())).toContain('removeRecord');
  });

  it('wait for the backend by name, and go on by the message that brings it', () => {
    const client = actor();
    client.observe([recordOf({ provisioned: false })]);
    client.facts(away);
    client.lead();
    expect(client.waits()).toEqual(['client:orders:backend']);
    expect(client.take()).toEqual([]);
    client.facts(ready);
    expect(stepsOf(client.take())).toEqual(['raiseFence']);
  });

  it('of which an earlier life of the leader knew how long units are late are not kept waiting anew', () => {
    const published = publishedOf({
      generation: generation(4),
      spec: specOf({
        users: [userOf('pgbouncer_orders_2', accountOf().verifier)],
        slots: [0, 1].map((number) => ({ unit: unit(number), instances: 2 })),
      }),
    });
    const behind = unitRecordOf(1, { bag: bagOf({ applied: generation(3) }) });
    const told = (waited: number) => {
      const client = actor();
      const waits = [{ id: 'client:orders:units', sinceWallMs: 1_000_000 - waited }];
      client.feed({ type: 'recalled', memory: { verified: null, waits }, published, wall: wall(1_000_000) });
      client.observe([recordOf({ provisioned: true })]);
      client.feed({
        type: 'generationTold',
        published,
        verdict: { covers: 0, good: null, refused: null },
      });
      client.feed({
        type: 'rosterTold',
        units: [unitRecordOf(0, { bag: bagOf({ applied: generation(4) }) }), behind],
      });
      client.facts(ready);
      client.lead();
      return client;
    };
    expect(told(20_000).waits()).toContain('client:orders:units');
    const late = told(31_000);
    expect(late.waits()).not.toContain('client:orders:units');
    expect(late.take()).toContainEqual(
      expect.objectContaining({ type: 'writeRecord', record: expect.objectContaining({ databag: expect.anything() }) }),
    );
  });

  it('that went are forgotten when their backend is no longer asked for: nobody could remove anything there', () => {
    const client = actor();
    const { clients: _, backends: __, ...rest } = intentOf();
    client.observe([recordOf()], { ...rest, clients: {}, backends: {} });
    client.lead();
    expect(client.take()).toMatchObject([{ type: 'removeRecord', id: relation(2) }]);
    const held = actor();
    const entry = { of: 'backends', name: 'main', id: relation(1), reason: 'it cannot be read', stored: null } as const;
    held.observe([recordOf()], { ...rest, clients: {}, backends: {}, unreadable: [entry] });
    held.lead();
    expect(held.take()).toEqual([]);
  });

  it('say when a step that went wrong is tried again', () => {
    const client = actor();
    client.observe([recordOf({ provisioned: false })]);
    client.facts(ready);
    expect(dueAt(client.state())).toBe(Number.POSITIVE_INFINITY);
    client.lead();
    expect(dueAt(client.state())).toBe(Number.POSITIVE_INFINITY);
    client.feed({
      type: 'postgresAnswered',
      backend: 'main',
      relation: null,
      step: 'raiseFence',
      epoch: leadershipOf().epoch,
      outcome: { kind: 'unavailable', reason: 'no answer in time' },
    });
    expect(dueAt(client.state())).toBe(client.state().backends.get('main')?.trouble?.retryAt);
  });

  it('get their databag when every live unit serves the login, not before', () => {
    const client = actor();
    const published = publishedOf({
      generation: generation(4),
      spec: specOf({ users: [userOf('pgbouncer_orders_2', accountOf().verifier)] }),
    });
    const units = [unitRecordOf(0), unitRecordOf(1)];
    client.observe([recordOf()], intentOf(), units);
    client.lead();
    client.feed({ type: 'generationTold', published, verdict: { covers: 1, good: null, refused: null } });
    client.feed({ type: 'rosterTold', units });
    expect(client.take()).toEqual([]);
    expect(client.waits()).toEqual(['client:orders:units']);
    const acknowledged = units.map((record) => ({
      ...record,
      bag: record.bag && { ...record.bag, applied: generation(4) },
    }));
    client.feed({ type: 'rosterTold', units: acknowledged });
    const [write] = client.take();
    expect(write).toMatchObject({
      type: 'writeRecord',
      record: {
        databag: { endpoints: '127.0.0.11:6432,127.0.0.12:6432', database: 'orders', username: 'pgbouncer_orders_2' },
      },
    });
    expect(client.waits()).toEqual([]);
  });

  it('get their databag after the deadline although a unit lags, and its name was told', () => {
    const client = actor();
    const published = publishedOf({
      spec: specOf({
        users: [userOf('pgbouncer_orders_2', accountOf().verifier)],
        slots: [0, 1].map((number) => ({ unit: unit(number), instances: 2 })),
      }),
    });
    const units = [unitRecordOf(0), unitRecordOf(1, { bag: null })];
    client.observe([recordOf()], intentOf(), units);
    client.lead();
    client.feed({ type: 'generationTold', published, verdict: { covers: 1, good: null, refused: null } });
    client.feed({ type: 'rosterTold', units });
    expect(client.state().waits).toMatchObject([{ on: 'pgbouncer/1' }]);
    client.feed({ type: 'ticked', wall: wall(0) }, 29_990);
    expect(client.take()).toEqual([]);
    client.feed({ type: 'ticked', wall: wall(0) }, 100);
    expect(client.take()).toMatchObject([
      { type: 'writeRecord', record: { databag: { endpoints: '127.0.0.11:6432' } } },
    ]);
  });

  it('are told one address when all units are behind the same load balancer', () => {
    const client = actor();
    const published = publishedOf({
      generation: generation(4),
      spec: specOf({ users: [userOf('pgbouncer_orders_2', accountOf().verifier)] }),
    });
    const units = [unitRecordOf(0), unitRecordOf(1)].map((record) => ({
      ...record,
      bag: record.bag && { ...record.bag, address: 'balancer:6432', applied: generation(4) },
    }));
    client.observe([recordOf()], intentOf(), units);
    client.lead();
    client.feed({ type: 'generationTold', published, verdict: { covers: 1, good: null, refused: null } });
    client.feed({ type: 'rosterTold', units });
    expect(client.take()).toMatchObject([{ type: 'writeRecord', record: { databag: { endpoints: 'balancer:6432' } } }]);
  });

  it('are no longer served once the intent does not name them, and are forgotten only after PostgreSQL confirmed', () => {
    const client = actor();
    client.observe([recordOf()], intentOf({ clients: {}, nextRelation: relation(3) }));
    expect(client.served()).toEqual([]);
    client.facts(away);
    client.lead();
    expect(client.waits()).toEqual(['client:orders:removal']);
    client.facts(ready);
    expect(stepsOf(client.take())).toEqual(['raiseFence']);
    client.done('raiseFence', null);
    expect(stepsOf(client.take())).toEqual(['dropLogin']);
    client.done('dropLogin', 2);
    expect(stepsOf(client.take())).toContain('removeRecord');
    client.feed({ type: 'recordRemoved', id: relation(2), outcome: 'committed' });
    expect(client.state().records.size).toBe(0);
  });

  it('removes nothing while nobody is known to have asked for anything', () => {
    const client = actor();
    client.feed({ type: 'observed', snapshot: snapshotOf({ intent: null, relations: [recordOf()] }) });
    client.facts(ready);
    client.lead();
    expect(client.take()).toEqual([]);
  });

  it('drops tagged logins that have no relation and no record, one after the other', () => {
    const client = actor();
    client.observe([recordOf({ databag: {} })], intentOf({ nextRelation: relation(9) }));
    client.facts(ready);
    client.lead();
    client.take();
    client.done('raiseFence', null);
    expect(stepsOf(client.take())).toEqual(['audit']);
    const logins = [2, 5, 7, 12].map((id) => ({ relation: id, username: `u${id}` }));
    client.audited({ logins });
    expect(client.take()).toMatchObject([{ step: { type: 'dropLogin', username: 'u5' } }]);
    client.done('dropLogin', null);
    expect(client.take()).toMatchObject([{ step: { type: 'dropLogin', username: 'u7' } }]);
    client.done('dropLogin', null);
    expect(client.take()).toEqual([]);
  });

  it('asks nothing of PostgreSQL twice at once for one backend', () => {
    const client = actor();
    const clients = { orders: clientOf(), reports: clientOf({ id: relation(3), database: 'reports' }) };
    const records = [
      recordOf({ provisioned: false }),
      recordOf({ id: relation(3), name: 'reports', provisioned: false }),
    ];
    client.observe(records, intentOf({ clients, nextRelation: relation(4) }));
    client.facts(ready);
    client.lead();
    client.done('raiseFence', null);
    client.take();
    client.feed({ type: 'ticked', wall: wall(0) });
    client.feed({ type: 'ticked', wall: wall(0) });
    expect(client.take()).toEqual([]);
  });

  it('fences again and starts over when leadership is new', () => {
    const client = actor();
    client.observe([recordOf({ provisioned: false })]);
    client.facts(ready);
    client.lead(1);
    client.done('raiseFence', null);
    client.take();
    client.lead(2);
    // What an earlier leadership saw may be long past.
    expect(client.take()).toEqual([]);
    client.facts(ready, 2 as never);
    expect(client.take()).toMatchObject([{ step: { type: 'raiseFence' }, leadership: { epoch: 2 } }]);
  });

  it('quarantines a relation whose data defeat its decision, and serves the others', () => {
    const client = actor();
    const poisoned = { ...recordOf({ provisioned: false }), account: null } as unknown as RelationRecord;
    const healthy = recordOf({ id: relation(3), name: 'reports', provisioned: false });
    const clients = { orders: clientOf(), reports: clientOf({ id: relation(3), database: 'reports' }) };
    client.observe([poisoned, healthy], intentOf({ clients, nextRelation: relation(4) }));
    client.facts(ready);
    client.lead();
    client.take();
    client.done('raiseFence', null);
    expect(client.waits()).toContain('client:orders:quarantine');
    expect(client.take()).toMatchObject([{ step: { type: 'ensureDatabase' }, relation: 3 }]);
  });

  it('does nothing about a relation whose record cannot be read, serves it on, and goes on with the others', () => {
    const client = actor();
    const clients = { orders: clientOf(), reports: clientOf({ id: relation(3), database: 'reports' }) };
    const intent = intentOf({ clients, nextRelation: relation(5) });
    const damaged = [2, 4].map((id) => ({
      object: `rel:${id}`,
      relation: relation(id),
      unit: null,
      reason: 'it is not JSON',
    }));
    const healthy = recordOf({ id: relation(3), name: 'reports', provisioned: false });
    const user = userOf('pgbouncer_orders_2', recordOf().account.verifier);
    client.feed({
      type: 'generationTold',
      published: publishedOf({ spec: specOf({ users: [user] }) }),
      verdict: { covers: 0, good: null, refused: null },
    });
    client.feed({ type: 'observed', snapshot: snapshotOf({ intent, relations: [healthy], damaged }) });
    expect(client.served()).toEqual(['orders']);
    client.facts(ready);
    client.lead();
    expect(stepsOf(client.take())).not.toContain('mint');
    client.done('raiseFence', null);
    expect(client.waits()).toEqual(expect.arrayContaining(['client:orders:record', 'client:relation-4:record']));
    expect(client.take()).toMatchObject([{ step: { type: 'ensureDatabase' }, relation: 3 }]);
  });

  it('begin again with the database when the login was refused, because somebody may have dropped it', () => {
    const client = actor();
    client.observe([recordOf({ provisioned: false })]);
    client.facts(ready);
    client.lead();
    client.done('raiseFence', null);
    client.done('ensureDatabase', 2);
    expect(stepsOf(client.take())).toContain('ensureLogin');
    client.feed({
      type: 'postgresAnswered',
      backend: 'main',
      relation: relation(2),
      step: 'ensureLogin',
      epoch: leadershipOf().epoch,
      outcome: { kind: 'refused', reason: 'database "orders" does not exist' },
    });
    client.audited();
    client.take();
    client.feed({ type: 'ticked', wall: wall(0) }, 600);
    expect(stepsOf(client.take())).toEqual(['ensureDatabase']);
  });

  it('that the backplane did not keep say so, and are written again', () => {
    const client = actor();
    client.observe([]);
    client.facts(ready);
    client.lead();
    client.feed({ type: 'minted', id: relation(2), account: accountOf() });
    const written = () => client.take().some(({ type }) => type === 'writeRecord');
    expect(written()).toBe(true);
    client.feed({ type: 'recordAnswered', record: recordOf({ provisioned: false }), outcome: 'unavailable' });
    expect(client.state().waits).toMatchObject([
      {
        id: 'client:orders:record',
        kind: 'waiting',
        on: 'backplane',
        message: expect.stringContaining('did not answer'),
      },
    ]);
    client.feed({ type: 'ticked', wall: wall(0) }, 600);
    expect(written()).toBe(true);
  });

  it('backs off after a refusal, tells it as blocked, and tries again at once when the platform says so', () => {
    const client = actor();
    client.observe([recordOf({ provisioned: false })]);
    client.facts(ready);
    client.lead();
    client.done('raiseFence', null);
    client.take();
    const refusal: ClientMessage = {
      type: 'postgresAnswered',
      backend: 'main',
      relation: relation(2),
      step: 'ensureDatabase',
      epoch: leadershipOf().epoch,
      outcome: { kind: 'refused', reason: 'permission denied to create database' },
    };
    client.feed(refusal);
    expect(client.state().waits).toMatchObject([{ id: 'client:orders:trouble', kind: 'blocked' }]);
    client.take();
    client.feed({ type: 'ticked', wall: wall(0) }, 10);
    expect(stepsOf(client.take())).not.toContain('ensureDatabase');
    client.audited();
    client.feed({ type: 'hooked', hook: { type: 'updateStatus' } });
    expect(stepsOf(client.take())).toContain('ensureDatabase');
  });

  describe('after they were provisioned', () => {
    const provisioned = () => {
      const client = actor();
      client.observe([recordOf({ databag: {} })], intentOf({ nextRelation: relation(9) }));
      client.facts(ready);
      client.lead();
      client.done('raiseFence', null);
      client.take();
      return client;
    };
    const lost = { kind: 'lost', relation: 2, reason: 'database "orders" is gone' } as const;

    it('are audited in turns, with what they were given', () => {
      const client = provisioned();
      client.audited();
      client.feed({ type: 'ticked', wall: wall(0) }, 1_990);
      expect(client.take()).toEqual([]);
      client.feed({ type: 'ticked', wall: wall(0) }, 20);
      expect(client.take()).toMatchObject([
        { type: 'audit', provisions: [{ relation: 2, database: 'orders', username: 'pgbouncer_orders_2' }] },
      ]);
    });

    it.each(['mendDatabase', 'ensureLogin'] as const)('are mended by %s, and audited again at once', (step) => {
      const client = provisioned();
      client.audited({ findings: [{ kind: 'mendable', relation: 2, step }] });
      expect(stepsOf(client.take())).toEqual([step]);
      client.done(step, 2);
      expect(stepsOf(client.take())).toEqual(['audit']);
      expect(client.waits()).not.toContain('client:orders:provision');
    });

    it('are told blocked for as long as audits find them lost, and nothing is made', () => {
      const client = provisioned();
      client.audited({ findings: [lost] });
      expect(client.state().waits).toMatchObject([{ id: 'client:orders:database', kind: 'blocked', on: 'operator' }]);
      client.feed({ type: 'ticked', wall: wall(0) }, 2_010);
      expect(stepsOf(client.take())).toEqual(['audit']);
      client.audited();
      expect(client.waits()).not.toContain('client:orders:database');
    });

    it('do not get their lost database made anew by another client of it', () => {
      const client = provisioned();
      client.audited({ findings: [lost] });
      const clients = { orders: clientOf(), reports: clientOf({ id: relation(3) }) };
      const records = [
        recordOf({ databag: {} }),
        recordOf({ id: relation(3), name: 'reports', provisioned: false, account: accountOf('pgbouncer_reports_3') }),
      ];
      client.observe(records, intentOf({ clients, nextRelation: relation(9) }));
      expect(client.take()).toEqual([]);
      expect(client.waits()).toEqual(['client:orders:database', 'client:reports:database']);
    });

    it('are fenced again when their fence has gone', () => {
      const client = provisioned();
      client.feed({ type: 'audited', backend: 'main', epoch: leadershipOf().epoch, audit: { kind: 'unfenced' } });
      expect(stepsOf(client.take())).toEqual(['raiseFence']);
    });

    it('drop the answer to an audit of an earlier leadership', () => {
      const client = provisioned();
      client.audited({ findings: [lost] }, 7 as never);
      expect(client.waits()).not.toContain('client:orders:database');
    });

    it('need a person when the fence stays ahead of a leader who goes on leading', () => {
      const client = provisioned();
      client.feed({ type: 'audited', backend: 'main', epoch: leadershipOf().epoch, audit: { kind: 'fenced' } });
      const kinds = Array.from({ length: 5 }, () => {
        client.feed({
          type: 'postgresAnswered',
          backend: 'main',
          relation: null,
          step: 'raiseFence',
          epoch: leadershipOf().epoch,
          outcome: { kind: 'fenced' },
        });
        client.feed({ type: 'ticked', wall: wall(0) }, 5_000);
        return client.state().waits.find(({ id }) => id === 'backend:main:fence')?.kind;
      });
      expect(kinds).toEqual(['waiting', 'waiting', 'waiting', 'blocked', 'blocked']);
    });
  });

  it('try again at once when their backend has come back', () => {
    const client = actor();
    client.observe([recordOf({ provisioned: false })]);
    client.facts(ready);
    client.lead();
    client.done('raiseFence', null);
    client.take();
    client.feed({
      type: 'postgresAnswered',
      backend: 'main',
      relation: relation(2),
      step: 'ensureDatabase',
      epoch: leadershipOf().epoch,
      outcome: { kind: 'unavailable', reason: 'the connection broke' },
    });
    client.audited();
    client.facts(away);
    client.take();
    client.facts(ready);
    expect(stepsOf(client.take())).toContain('ensureDatabase');
  });
});
