import { describe, expect, it } from 'vitest';
import { hooksBetween } from '../../../src/actors/unit/hooks.ts';
import {
  decideWith,
  initial,
  type UnitEffect,
  type UnitSettings,
  type UnitState,
} from '../../../src/actors/unit/decide.ts';
import { fleetStatusOf } from '../../../src/actors/unit/fleet-status.ts';
import type { Send } from '../../../src/actors/kit/behaviour.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import { lack } from '../../../src/actors/model/wait-catalogue.ts';
import type { Departure } from '../../../src/actors/model/intent.ts';
import type { Snapshot } from '../../../src/actors/model/snapshot.ts';
import type { UnitMessage, WorkloadReport } from '../../../src/actors/protocol.ts';
import {
  application,
  bagOf,
  epoch,
  intentOf,
  nonce,
  publishedOf,
  recordOf,
  relation,
  snapshotOf,
  specOf,
  unit,
  unitRecordOf,
  wall,
} from '../../support/builders.ts';

const settings: UnitSettings = {
  self: unit(0),
  nonce: nonce('n0'),
  leaveAs: 'down',
  beatMs: 1_000,
  observeOnly: null,
};
const decide = decideWith(settings);
const report: WorkloadReport = {
  available: true,
  address: '127.0.0.11:6432',
  verified: publishedOf(),
  refused: null,
  instances: [{ id: 1, pid: 7, state: 'serving', version: '1.18.0' }],
  budget: [],
  tls: null,
  remarks: [],
  changing: false,
  leaving: null,
};

const view = {
  application,
  self: unit(0),
  pid: 1,
  version: '0.1.0',
  backplane: 'redis',
  departureGraceMs: 600_000,
  now: 10_000,
  wall: 1_000_000,
};

const actor = (decide = decideWith(settings)) => {
  let state: UnitState = initial;
  let now = 0;
  let effects: UnitEffect[] = [];
  let told: Send[] = [];
  return {
    feed: (message: UnitMessage, after = 1) => {
      now += after;
      const decided = decide(state, message, now);
      state = decided.state;
      effects.push(...(decided.effects ?? []));
      told.push(...(decided.tell ?? []));
    },
    tick(after = 250) {
      this.feed({ type: 'ticked', wall: wall(1_000_000 + now + after) }, after);
    },
    take: () => {
      const taken = effects.map(({ type }) => type);
      effects = [];
      return taken;
    },
    told: () => {
      const taken = told.map(([to, { type }]) => `${to}:${type}`);
      told = [];
      return taken;
    },
    effects: () => effects,
    state: () => state,
  };
};

describe('unit', () => {
  it('reads the backplane once a beat, and once more after a hint that came during a reading', () => {
    const self = actor();
    self.tick();
    expect(self.take()).toEqual(['observe']);
    self.feed({ type: 'hinted' });
    self.feed({ type: 'hinted' });
    expect(self.take()).toEqual([]);
    self.feed({ type: 'snapshotRead', snapshot: snapshotOf() });
    expect(self.take()).toEqual(['observe']);
    self.feed({ type: 'snapshotRead', snapshot: snapshotOf() });
    self.tick(900);
    expect(self.take()).toEqual([]);
    self.tick(200);
    expect(self.take()).toEqual(['observe']);
  });

  it('tells every actor what was read', () => {
    const self = actor();
    self.feed({ type: 'snapshotRead', snapshot: snapshotOf() });
    const told = self.told().filter((send) => send.endsWith(':observed'));
    expect(told).toEqual([
      'leader:observed',
      'config:observed',
      'peers:observed',
      'backend:observed',
      'client:observed',
    ]);
  });

  it('says unreachable since when, and keeps the last reading', () => {
    const self = actor();
    self.tick();
    self.feed({ type: 'snapshotRead', snapshot: snapshotOf({ intent: intentOf() }) });
    self.feed({ type: 'workloadTold', report });
    expect(self.state().status.word).toBe('active');
    self.feed({ type: 'snapshotUnavailable', reason: 'connect ECONNREFUSED' }, 5_000);
    self.feed({ type: 'snapshotUnavailable', reason: 'connect ECONNREFUSED' }, 5_000);
    expect(self.state().backplane).toMatchObject({ kind: 'unreachable', since: 5_252 });
    expect(self.state().status).toMatchObject({ word: 'waiting', waits: [{ id: 'backplane' }] });
    expect(self.state().snapshot).toMatchObject({ known: true });
    self.feed({ type: 'snapshotRead', snapshot: snapshotOf() });
    expect(self.state().status.word).toBe('active');
  });

  it('is blocked by what its API lacks, until that is mended', () => {
    const self = actor();
    self.feed({ type: 'workloadTold', report });
    const troubles = [{ file: 'tokens', reason: 'no scope in line 2' }] as const;
    self.feed({ type: 'apiTold', troubles });
    self.feed({ type: 'apiTold', troubles }, 5_000);
    expect(self.state().status).toMatchObject({
      word: 'blocked',
      waits: [{ id: 'api-tokens', message: expect.stringContaining('no scope in line 2'), since: 2 }],
    });
    self.feed({ type: 'apiTold', troubles: [] });
    expect(self.state().status).toMatchObject({ word: 'active', waits: [] });
  });

  it('keeps the instant of a wait over a restart', () => {
    const self = actor();
    const waits = [{ id: 'backend:main', sinceWallMs: 940_000 }];
    self.feed({ type: 'recalled', memory: { verified: null, waits }, losses: [], wall: wall(1_000_000) });
    const wait = { id: 'backend:main', kind: 'blocked', message: 'away', since: 1, on: 'backend' } as const;
    self.feed({ type: 'waitsTold', from: 'backend', waits: [wait] });
    expect(self.state().status.waits).toMatchObject([{ id: 'backend:main', since: 1 - 60_000 }]);
  });

  it('remarks what of its memory was lost beside what the workload found, and is active all the same', () => {
    const self = actor();
    const losses = ['the ledger was damaged'];
    self.feed({ type: 'recalled', memory: { verified: null, waits: [] }, losses, wall: wall(0) });
    self.feed({ type: 'snapshotRead', snapshot: snapshotOf() });
    const found = { id: 'repaired', message: 'the ini was changed', since: 1 } as const;
    self.feed({ type: 'workloadTold', report: { ...report, remarks: [found] } });
    const lost = { id: 'lost-state', message: 'the ledger was damaged', since: 1 };
    expect(self.state().status).toEqual({ word: 'active', message: '', waits: [], remarks: [lost, found] });
    self.take();
    self.told();
    self.feed({ type: 'workloadTold', report }, 5_000);
    expect(self.told()).toContain('peers:statusTold');
    expect(self.state().status.remarks).toEqual([lost]);
  });

  it('shows a databag that cannot be read as a remark of its unit, since it was seen first', () => {
    const self = actor();
    const reading = (damaged: Snapshot['damaged']) =>
      ({
        type: 'snapshotRead',
        snapshot: snapshotOf({ units: [unitRecordOf(0), unitRecordOf(1, { bag: null })], damaged }),
      }) as const;
    const shown = () => {
      const status = fleetStatusOf(self.state(), { ...view, wall: view.now });
      const [own, peer] = status.units;
      return [own?.remarks, peer?.remarks, peer?.message];
    };
    const damage = { object: 'unit:pgbouncer/1', relation: null, unit: unit(1), reason: 'it is no JSON' };
    self.feed(reading([damage]), 9_000);
    self.feed(reading([damage, { object: 'rel:2', relation: relation(2), unit: null, reason: 'x' }]), 500);
    const remark = {
      id: 'damaged-databag',
      message: expect.stringMatching(/^the databag of pgbouncer\/1 .*\(it is no JSON\)/),
      since: new Date(9_000).toISOString(),
    };
    expect(shown()).toEqual([[], [remark], 'what it says of itself cannot be read']);
    self.feed(reading([]));
    expect(shown()).toEqual([[], [], 'just joined']);
  });

  it('remembers a newly verified generation once, and again when it could not be kept', () => {
    const self = actor();
    self.feed({ type: 'workloadTold', report });
    expect(self.take()).toEqual([]); // What an earlier process remembered is not known yet.
    self.feed({ type: 'recalled', memory: { verified: null, waits: [] }, losses: [], wall: wall(0) });
    expect(self.take()).toEqual(['remember']);
    self.feed({ type: 'workloadTold', report });
    self.feed({ type: 'remembered', kept: false });
    expect(self.take()).toEqual([]);
    self.tick();
    expect(self.take()).toContain('remember');
    self.feed({ type: 'remembered', kept: true });
    self.tick();
    expect(self.take()).not.toContain('remember');
  });

  it.each(['stop', 'remove'] as const)('told to %s, leaves only after its instances have ended', (type) => {
    const self = actor();
    self.feed({ type: 'hookArrived', hook: { type } });
    expect(self.told()).toEqual(expect.arrayContaining(['leader:hooked', 'workload:hooked']));
    self.feed({ type: 'workloadTold', report });
    expect(self.take()).not.toContain('leave');
    self.feed({ type: 'workloadTold', report: { ...report, leaving: { phase: 'stopped', until: 0, clients: {} } } });
    expect(self.take()).toContain('leave');
    self.feed({ type: 'left' });
    expect(self.state().phase).toBe('left');
  });

  const asked = (changes: Partial<Departure> = {}) => {
    const departures = [{ unit: unit(0), nonce: nonce('n0'), forced: false, ...changes }];
    return { type: 'snapshotRead', snapshot: snapshotOf({ intent: intentOf({ departures }) }) } as const;
  };

  it('asked to depart through the store, hands over, drains, and gives number and share up', () => {
    const self = actor();
    self.feed({ type: 'workloadTold', report });
    self.feed(asked());
    expect(self.told()).toEqual(expect.arrayContaining(['leader:hooked', 'workload:hooked']));
    expect(self.state().status).toMatchObject({
      word: 'maintenance',
      message: 'leaving the fleet: its clients are drained',
    });
    self.feed(asked());
    expect(self.told().filter((send) => send.endsWith(':hooked'))).toEqual([]);
    expect(self.take()).not.toContain('leave');
    self.feed({ type: 'workloadTold', report: { ...report, leaving: { phase: 'stopped', until: 0, clients: {} } } });
    expect(self.effects()).toContainEqual({ type: 'leave', how: 'departed' });
  });

  it('asked to depart while it stops, gives number and share up all the same', () => {
    const self = actor();
    self.feed({ type: 'hookArrived', hook: { type: 'stop' } });
    self.feed({ type: 'workloadTold', report });
    self.feed(asked());
    self.feed({ type: 'workloadTold', report: { ...report, leaving: { phase: 'stopped', until: 0, clients: {} } } });
    expect(self.effects()).toContainEqual({ type: 'leave', how: 'departed' });
  });

  it('told to stop, is down and keeps number and share', () => {
    const self = actor();
    self.feed({ type: 'hookArrived', hook: { type: 'stop' } });
    self.feed({ type: 'workloadTold', report: { ...report, leaving: { phase: 'stopped', until: 0, clients: {} } } });
    expect(self.effects()).toContainEqual({ type: 'leave', how: 'down' });
  });

  it('told to stop, gives number and share up when that is what stopping means', () => {
    const self = actor(decideWith({ ...settings, leaveAs: 'departed' }));
    self.feed({ type: 'hookArrived', hook: { type: 'stop' } });
    self.feed({ type: 'workloadTold', report });
    self.feed({ type: 'workloadTold', report: { ...report, leaving: { phase: 'stopped', until: 0, clients: {} } } });
    expect(self.effects()).toContainEqual({ type: 'leave', how: 'departed' });
  });

  it.each([
    ['an earlier life of it', { nonce: nonce('n1') }],
    ['another unit', { unit: unit(1) }],
  ])('stays when %s was asked to depart', (_, changes) => {
    const self = actor();
    self.feed({ type: 'workloadTold', report });
    self.feed(asked(changes));
    expect(self.state()).toMatchObject({ phase: 'running', departing: false });
  });
});

describe('a unit that stops', () => {
  const stopping = () => {
    const self = actor();
    self.feed({ type: 'recalled', memory: { verified: null, waits: [] }, losses: [], wall: wall(1_000_000) });
    self.feed({ type: 'hookArrived', hook: { type: 'stop' } });
    return self;
  };
  const leaving = (phase: 'delay' | 'draining' | 'stopped', clients: Readonly<Record<string, number>> | null) =>
    ({ type: 'workloadTold', report: { ...report, leaving: { phase, until: 30_000, clients } } }) as const;

  it('tells how many of whom are left, and when they are cut', () => {
    const self = stopping();
    self.feed(leaving('delay', null));
    expect(self.state().status.message).toMatch(/load balancers have until 1970-01-01T00:17:10Z/);
    self.feed(leaving('draining', { 'orders/app': 2, 'reports/app': 10 }));
    expect(self.state().status).toMatchObject({
      word: 'maintenance',
      message:
        'stopping: 12 clients left (reports/app 10, orders/app 2); whoever is still there at 1970-01-01T00:17:10Z is cut, a second SIGTERM does so at once',
    });
    self.feed({ type: 'ticked', wall: wall(1_000_900) }); // A clock that is set, or only read a moment late.
    self.feed(leaving('draining', { 'orders/app': 1 }));
    expect(self.state().status.message).toContain('at 1970-01-01T00:17:10Z is cut');
    expect(self.state().status.message).toContain('1 client left (orders/app 1)');
  });

  it('is down with who was cut, before its peers hear that it left', () => {
    const self = stopping();
    self.feed(leaving('stopped', { 'orders/app': 3 }));
    expect(self.state().status).toMatchObject({ word: 'down', message: 'stopped, 3 clients cut (orders/app 3)' });
    expect(self.take()).toContain('leave');
    const other = stopping();
    other.feed(leaving('stopped', {}));
    expect(other.state().status.message).toBe('stopped, nobody was cut');
  });
});

describe('hooks between two readings', () => {
  const before = snapshotOf({
    intent: intentOf({ options: { pool_mode: 'session' } }),
    units: [unitRecordOf(0), unitRecordOf(1)],
  });

  it('are none when nothing changed but the heartbeats', () => {
    const after = { ...before, units: [unitRecordOf(0), unitRecordOf(1, { silentMs: 900 })] };
    expect(hooksBetween(before, after, unit(0))).toEqual([]);
  });

  it('name the leader, options, peers and relations that changed', () => {
    const after = snapshotOf({
      lease: { holder: unit(0), nonce: nonce('n0'), epoch: epoch(2), freeInMs: 100 },
      intent: intentOf({ version: 2, options: { pool_mode: 'transaction' }, clients: {} }),
      units: [unitRecordOf(0), unitRecordOf(2)],
    });
    expect(hooksBetween(before, after, unit(0)).map(({ type }) => type)).toEqual([
      'leaderElected',
      'optionsChanged',
      'peerJoined',
      'peerDeparted',
      'relationDeparted',
      'relationBroken',
    ]);
  });
});

describe('fleet status', () => {
  const read = (snapshot: ReturnType<typeof snapshotOf>, at = 9_000) => {
    const { state } = decide(initial, { type: 'snapshotRead', snapshot }, at);
    return fleetStatusOf(state, view);
  };

  it('names a leader only while its lease lasts', () => {
    const lease = { holder: unit(1), nonce: nonce('n1'), epoch: epoch(4), freeInMs: 1_500 };
    expect(read(snapshotOf({ lease })).leader).toEqual({ unit: 'pgbouncer/1', epoch: 4 });
    expect(read(snapshotOf({ lease }), 8_000).leader).toBeNull();
  });

  it('tells the share of each unit and what the fleet has of it, a login by the name of its client', () => {
    const share = (given: number, used: number, held: number | null) => [
      { of: 'database', name: 'orders', given, used, held } as const,
      { of: 'login', name: 'pgbouncer_orders_2', given: 5, used: 1, held: 5 } as const,
    ];
    const spec = specOf({
      databases: [
        {
          name: 'orders',
          database: 'orders',
          backend: 'main',
          host: 'db',
          port: 5432,
          maxConnections: 40,
          readOnly: false,
        },
      ],
      users: [
        { name: 'pgbouncer_orders_2', secret: new Secret('x'), poolMode: null, maxConnections: 10, timeouts: {} },
      ],
    });
    const units = [
      unitRecordOf(1, { bag: bagOf({ budget: share(20, 18, 20) }) }),
      unitRecordOf(2, { bag: bagOf({ budget: share(20, 24, 24) }) }),
    ];
    const status = read(snapshotOf({ units, relations: [recordOf()], published: publishedOf({ spec }) }));
    expect(status.budgets).toEqual([
      { of: 'database', name: 'orders', total: 40, given: 40, used: 42, held: 44 },
      { of: 'client', name: 'orders', total: 10, given: 10, used: 2, held: 10 },
    ]);
    expect(status.units[2]?.budget).toEqual([
      { of: 'database', name: 'orders', given: 20, used: 24, held: 24 },
      { of: 'client', name: 'orders', given: 5, used: 1, held: 5 },
    ]);
    const unlimited = [unitRecordOf(1, { bag: bagOf({ budget: share(20, 18, null) }) })];
    expect(read(snapshotOf({ units: unlimited, published: publishedOf({ spec }) })).budgets[0]?.held).toBeNull();
  });

  it('says of a backend whose databases may use more connections than it takes', () => {
    const databases = ['orders', 'stock'].map((name) => ({
      name,
      database: name,
      backend: 'main',
      host: 'db',
      port: 5432,
      maxConnections: 50,
      readOnly: false,
    }));
    const messageWith = (clientConnections: number): string | undefined => {
      const backend = { name: 'main', primary: 'db:5432', standbys: [], version: '17.1', timeline: 1, systemId: '1' };
      const lease = { holder: unit(1), nonce: nonce('n1'), epoch: epoch(4), freeInMs: 5_000 };
      const units = [unitRecordOf(1, { bag: bagOf({ backends: [{ ...backend, clientConnections }] }) })];
      const published = publishedOf({ spec: specOf({ databases }) });
      return read(snapshotOf({ lease, units, published, intent: intentOf() })).relations[0]?.message;
    };
    expect(messageWith(97)).toContain('may use 100 connections together and it takes 97');
    expect(messageWith(100)).not.toContain('together');
    expect(messageWith(0)).not.toContain('together');
  });

  it('says unknown of a silent peer and down of one that was stopped', () => {
    const units = [
      unitRecordOf(0),
      unitRecordOf(1, { presence: 'silent', silentMs: 9_000 }),
      unitRecordOf(2, { presence: 'down' }),
    ];
    expect(read(snapshotOf({ units })).units.map(({ status }) => status)).toEqual(['maintenance', 'unknown', 'down']);
  });

  it('says unknown of a peer when nothing was read for a while', () => {
    const units = [unitRecordOf(0), unitRecordOf(1)];
    expect(read(snapshotOf({ units }), 9_000).units.map(({ status }) => status)).toEqual(['maintenance', 'active']);
    expect(read(snapshotOf({ units }), 4_000).units.map(({ status }) => status)).toEqual(['maintenance', 'unknown']);
  });

  it('names what the PgBouncers that run there suffer from, once each, and nothing of a version that is mended', () => {
    const running = (version: string) =>
      unitRecordOf(1, {
        bag: bagOf({ instances: [1, 2].map((id) => ({ id, pid: id, state: 'serving' as const, version })) }),
      });
    const weaknessesOf = (version: string) => read(snapshotOf({ units: [running(version)] })).units[1]?.weaknesses;
    expect(weaknessesOf('1.18.0')).toContainEqual(
      expect.objectContaining({ id: 'CVE-2026-107350', mendedIn: '1.26.1' }),
    );
    expect(new Set(weaknessesOf('1.18.0')?.map(({ id }) => id)).size).toBe(weaknessesOf('1.18.0')?.length);
    expect(weaknessesOf('1.26.1')).toEqual([]);
  });

  it('shows relations alive and dying', () => {
    const relations = [recordOf({ databag: {} }), recordOf({ id: relation(9), name: 'gone' })];
    const shown = read(snapshotOf({ intent: intentOf(), relations })).relations;
    expect(shown.map(({ name, life, state }) => [name, life, state])).toEqual([
      ['main', 'alive', 'active'],
      ['orders', 'alive', 'active'],
      ['gone', 'dying', 'waiting'],
    ]);
  });

  it("says of a relation what its leader says, also when that is somebody else's", () => {
    const lease = { holder: unit(1), nonce: nonce('n1'), epoch: epoch(4), freeInMs: 5_000 };
    const wait = {
      id: 'backend:main',
      kind: 'blocked',
      message: 'two primaries',
      sinceWallMs: 5,
      on: 'operator',
    } as const;
    const units = [unitRecordOf(0), unitRecordOf(1, { bag: bagOf({ waits: [wait] }) })];
    const [main] = read(snapshotOf({ lease, units, intent: intentOf() })).relations;
    expect(main).toMatchObject({ name: 'main', state: 'blocked', message: 'two primaries' });
  });

  it('calls a relation blocked when one of several things that it lacks needs a person', () => {
    const wait = { kind: 'waiting', message: 'is being provisioned', sinceWallMs: 5, on: 'backend:main' } as const;
    const waits = [
      { ...wait, id: 'client:orders:provision' },
      { ...wait, id: 'client:orders:trouble', kind: 'blocked', message: 'permission denied' } as const,
    ];
    const lease = { holder: unit(1), nonce: nonce('n1'), epoch: epoch(4), freeInMs: 5_000 };
    const units = [unitRecordOf(0), unitRecordOf(1, { bag: bagOf({ waits }) })];
    const { relations } = read(snapshotOf({ lease, units, intent: intentOf() }));
    expect(relations.find(({ name }) => name === 'orders')).toMatchObject({
      state: 'blocked',
      message: 'permission denied',
    });
  });
});

describe('what the platform lacks', () => {
  it('is a wait of the unit, since it was told first, until it is told no more', () => {
    const missing = lack.backendMissing({ application });
    let { state } = decide(initial, { type: 'platformTold', lacks: [missing], remarks: [] }, 5);
    ({ state } = decide(state, { type: 'platformTold', lacks: [missing], remarks: [] }, 9));
    expect(state.status).toMatchObject({
      word: 'blocked',
      message: missing.message,
      waits: [{ id: 'backend', since: 5 }],
    });
    ({ state } = decide(state, { type: 'platformTold', lacks: [], remarks: [] }, 10));
    expect(state.status.waits).toEqual([]);
  });
});
