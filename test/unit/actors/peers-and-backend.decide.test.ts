import { describe, expect, it } from 'vitest';
import type { BackendFacts } from '../../../src/actors/model/backend.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import {
  decideWith as decideBackendWith,
  initial as initialBackend,
} from '../../../src/actors/relation/backend/decide.ts';
import { decideWith as decidePeersWith, initial as initialPeers } from '../../../src/actors/relation/peers/decide.ts';
import {
  backendOf,
  bagOf,
  intentOf,
  leadershipOf,
  nonce,
  publishedOf,
  snapshotOf,
  specOf,
  unit,
  unitRecordOf,
  wall,
} from '../../support/builders.ts';

const report = {
  available: true,
  address: '127.0.0.11:6432',
  verified: null,
  refused: null,
  instances: [],
  budget: [],
  tls: null,
  remarks: [],
  changing: false,
  leaving: null,
};

describe('peers', () => {
  const decide = decidePeersWith({ self: unit(0), pid: 5, version: '0.1.0', departureGraceMs: 60_000, usageMs: 5_000 });
  const status = { type: 'statusTold', status: { word: 'active', message: '', waits: [], remarks: [] } } as const;
  const seen = (bag: ReturnType<typeof bagOf> | null) =>
    ({ type: 'observed', snapshot: snapshotOf({ units: [unitRecordOf(0, { bag }), unitRecordOf(1)] }) }) as const;

  it('writes its bag once, and again only when the store shows another one', () => {
    let { state } = decide(initialPeers, seen(null), 0);
    const first = decide(state, status, 1);
    const [write] = first.effects ?? [];
    if (write?.type !== 'writeBag') throw new Error('no bag was written');
    ({ state } = decide(first.state, { type: 'bagAnswered', outcome: 'committed' }, 2));
    expect(decide(state, seen(write.bag), 3).effects).toEqual([]);
    expect(decide(state, seen(null), 4).effects).toMatchObject([{ type: 'writeBag' }]);
  });

  it('tells connections in use alone never, where each telling starts somebody', () => {
    const seldom = decidePeersWith({ self: unit(0), pid: 0, version: '1', departureGraceMs: 60_000, usageMs: null });
    const used = (connections: number) =>
      ({
        type: 'workloadTold',
        report: { ...report, budget: [{ of: 'database', name: 'orders', given: 9, used: connections, held: 9 }] },
      }) as const;
    let { state } = seldom(initialPeers, seen(null), 0);
    ({ state } = seldom(state, used(1), 1));
    const [write] = ({ state } = seldom(state, status, 2)).effects ?? [];
    if (write?.type !== 'writeBag') throw new Error('no bag was written');
    ({ state } = seldom(state, { type: 'bagAnswered', outcome: 'staged' }, 3));
    const later = seldom(state, used(7), 1_000_000);
    expect(later.effects).toEqual([]);
    expect(seldom(initialPeers, seen(write.bag), 0).effects).toEqual([]);
  });

  it('of a unit that was started again tells a wait with the instant it had, and a later one with its own', () => {
    const instant = (since: number) =>
      ({ id: 'leader', kind: 'waiting', message: 'no unit leads', on: 'units', since }) as const;
    const waiting = (since: number) =>
      ({ type: 'statusTold', status: { word: 'waiting', message: '', waits: [instant(since)], remarks: [] } }) as const;
    const sinceToldFor = (since: number) => {
      const { since: _, ...wait } = instant(0);
      const earlier = bagOf({ waits: [{ ...wait, sinceWallMs: 1_700_000_000_400 }] });
      let { state } = decide(initialPeers, seen(earlier), 0);
      ({ state } = decide(state, { type: 'ticked', wall: wall(1_700_000_100_000) }, 0));
      // What a unit says while it starts takes the place of what it said before.
      ({ state } = decide(state, status, 1));
      ({ state } = decide(state, { type: 'bagAnswered', outcome: 'staged' }, 2));
      const [write] = decide(state, waiting(since), 3).effects ?? [];
      return write?.type === 'writeBag' ? write.bag.waits[0]?.sinceWallMs : null;
    };
    expect(sinceToldFor(-100_000)).toBe(1_700_000_000_400);
    expect(sinceToldFor(-50_000)).toBe(1_700_000_050_000);
  });

  it('writes its bag anew when the store has one that cannot be read, and seldom while that stays so', () => {
    let { state } = decide(initialPeers, seen(null), 0);
    const [write] = ({ state } = decide(state, status, 1)).effects ?? [];
    if (write?.type !== 'writeBag') throw new Error('no bag was written');
    ({ state } = decide(state, { type: 'bagAnswered', outcome: 'committed' }, 2));
    const damage = { object: 'unit:pgbouncer/0', relation: null, unit: unit(0), reason: 'it is no JSON' };
    const damaged = { ...seen(write.bag), snapshot: { ...seen(write.bag).snapshot, damaged: [damage] } };
    const writesAt = [6_000, 6_500, 9_000, 11_500].filter((now) => {
      const decided = decide(state, damaged, now);
      const writes = (decided.effects ?? []).some(({ type }) => type === 'writeBag');
      state = writes ? decide(decided.state, { type: 'bagAnswered', outcome: 'committed' }, now).state : decided.state;
      return writes;
    });
    expect(writesAt).toEqual([6_000, 11_500]);
    expect(decide(state, seen(write.bag), 20_000).effects).toEqual([]);
  });

  it('waits a moment after a write without answer, then writes again', () => {
    let { state } = decide(initialPeers, seen(null), 0);
    ({ state } = decide(state, status, 1));
    const failed = decide(state, { type: 'bagAnswered', outcome: 'unavailable' }, 10);
    expect(failed.effects).toEqual([]);
    expect(decide(failed.state, { type: 'ticked', wall: wall(0) }, 600).effects).toMatchObject([{ type: 'writeBag' }]);
  });

  it('tells at once that something must still close or has closed, and now and then how much is in use', () => {
    const using = (used: number, held = 20) =>
      ({
        type: 'workloadTold',
        report: { ...report, budget: [{ of: 'database', name: 'orders', given: 20, used, held }] },
      }) as const;
    let { state } = decide(initialPeers, seen(null), 0);
    let writes: number[] = [];
    const feed = (message: Parameters<typeof decide>[1], now: number): void => {
      const decided = decide(state, message, now);
      ({ state } = decided);
      for (const effect of decided.effects ?? []) {
        if (effect.type === 'writeBag') writes.push(effect.bag.budget[0]?.used ?? -1);
        ({ state } = decide(state, { type: 'bagAnswered', outcome: 'committed' }, now));
      }
    };
    feed(status, 1);
    feed(using(3), 2);
    expect(writes).toEqual([-1, 3]);
    writes = [];
    for (let now = 1_000; now <= 20_000; now += 1_000) feed(using(now % 7), now);
    expect(writes).toHaveLength(3);
    writes = [];
    feed(using(24, 24), 20_001);
    feed(using(23, 23), 20_500);
    feed(using(20), 20_600);
    expect(writes).toEqual([24, 20]);
  });

  it('tells the roster when it changed, not when time passed', () => {
    const first = decide(initialPeers, seen(null), 0);
    expect(first.tell).toHaveLength(2);
    const silent = snapshotOf({
      units: [unitRecordOf(0, { bag: null, silentMs: 5 }), unitRecordOf(1, { silentMs: 800 })],
    });
    expect(decide(first.state, { type: 'observed', snapshot: silent }, 1).tell).toEqual([]);
    const joined = snapshotOf({ units: [unitRecordOf(0, { bag: null }), unitRecordOf(1), unitRecordOf(2)] });
    expect(decide(first.state, { type: 'observed', snapshot: joined }, 1).tell).toHaveLength(2);
  });

  it('removes a departed unit only as leader and only after the grace', () => {
    const units = [
      unitRecordOf(0),
      unitRecordOf(1, { presence: 'silent', silentMs: 59_000 }),
      unitRecordOf(2, { presence: 'down', silentMs: 61_000 }),
    ];
    const { state, effects } = decide(initialPeers, { type: 'observed', snapshot: snapshotOf({ units }) }, 0);
    expect(effects).toEqual([]);
    const led = decide(state, { type: 'leadershipTold', leadership: leadershipOf() }, 1);
    expect(led.effects).toMatchObject([{ type: 'removeUnit', unit: unit(2) }]);
  });

  it.each([
    ['down', false, true],
    ['silent', false, false],
    ['silent', true, true],
    ['live', true, false],
  ] as const)('removes at once one that is %s, asked to depart (forced: %s): %s', (presence, forced, isRemoved) => {
    const units = [unitRecordOf(0), unitRecordOf(1, { presence })];
    const removedBy = (life: string) => {
      const departures = [{ unit: unit(1), nonce: nonce(life), forced }];
      const snapshot = snapshotOf({ units, intent: intentOf({ departures }) });
      const { state } = decide(initialPeers, { type: 'leadershipTold', leadership: leadershipOf() }, 0);
      return decide(state, { type: 'observed', snapshot }, 1).effects?.filter(({ type }) => type === 'removeUnit')
        .length;
    };
    expect([removedBy('n1'), removedBy('an earlier life')]).toEqual([isRemoved ? 1 : 0, 0]);
  });
});

describe('backend', () => {
  const decide = decideBackendWith({ leaderLookMs: 2_000, followerLookMs: 15_000, healingLookMs: 3_000 });
  const ready: BackendFacts = {
    kind: 'ready',
    primary: { host: 'db1', port: 5432 },
    standbys: [],
    version: 170_000,
    systemId: '1',
    timeline: 1,
    silent: [],
    clientConnections: 97,
    maxConnections: 100,
    ailments: [],
  };
  const observed = (password = 'pg') =>
    ({
      type: 'observed',
      snapshot: snapshotOf({ intent: intentOf({ backends: { main: backendOf({ password: new Secret(password) }) } }) }),
    }) as const;
  const access = (password = 'pg') => ({
    name: 'main',
    endpoints: ['db1:5432'],
    username: 'troupe_admin',
    password: new Secret(password),
    maintenanceDatabase: 'postgres',
  });
  const answer = (facts: BackendFacts, password = 'pg') =>
    ({ type: 'backendInspected', name: 'main', access: access(password), facts }) as const;

  it('waits for PgBouncer before it looks, and looks once', () => {
    const first = decide(initialBackend, observed(), 0);
    expect(first.effects ?? []).toEqual([]);
    expect(first.state.waits).toMatchObject([{ id: 'backend:main', on: 'workload' }]);
    const available = decide(first.state, { type: 'workloadTold', report }, 1);
    expect(available.effects).toHaveLength(1);
    expect(decide(available.state, { type: 'ticked', wall: wall(0) }, 2).effects ?? []).toEqual([]);
  });

  it('tells nothing about a backend it has not seen, then tells what it saw', () => {
    let decided = decide(initialBackend, observed(), 0);
    expect(decided.tell).toContainEqual(['config', { type: 'backendsTold', facts: new Map(), under: null }]);
    decided = decide(decided.state, { type: 'workloadTold', report }, 1);
    decided = decide(decided.state, answer(ready), 2);
    expect(decided.tell).toContainEqual([
      'client',
      { type: 'backendsTold', facts: new Map([['main', ready]]), under: null },
    ]);
    expect(decided.state.waits).toEqual([]);
  });

  it('drops what it saw with a password that has changed meanwhile, and looks again', () => {
    let decided = decide(initialBackend, observed(), 0);
    decided = decide(decided.state, { type: 'workloadTold', report }, 1);
    decided = decide(decided.state, observed('new'), 2);
    expect(decided.effects ?? []).toEqual([]);
    decided = decide(decided.state, answer({ kind: 'blocked', reason: 'password authentication failed' }), 3);
    expect(decided.state.waits).toMatchObject([{ message: expect.stringContaining('looked at') }]);
    expect(decided.effects).toMatchObject([{ type: 'inspect' }]);
  });

  it('is blocked while a backend is away, with the words that came, and looks again by its interval', () => {
    let decided = decide(initialBackend, observed(), 0);
    decided = decide(decided.state, { type: 'workloadTold', report }, 1);
    decided = decide(decided.state, answer({ kind: 'away', reason: 'connection refused' }), 2);
    expect(decided.state.waits).toMatchObject([
      { kind: 'blocked', message: expect.stringContaining('away: connection refused') },
    ]);
    expect(decide(decided.state, { type: 'ticked', wall: wall(0) }, 3_001).effects ?? []).toEqual([]);
    expect(decide(decided.state, { type: 'ticked', wall: wall(0) }, 3_003).effects).toHaveLength(1);
    expect(decide(decided.state, { type: 'hooked', hook: { type: 'updateStatus' } }, 3).effects).toHaveLength(1);
  });

  it('names what clients suffer from at a primary that serves', () => {
    let decided = decide(initialBackend, observed(), 0);
    decided = decide(decided.state, { type: 'workloadTold', report }, 1);
    decided = decide(decided.state, answer({ ...ready, ailments: ['readOnly', 'full'] }), 2);
    expect(decided.state.waits).toMatchObject([
      { id: 'backend:main:read-only', kind: 'blocked', message: expect.stringContaining('db1:5432') },
      { id: 'backend:main:connections', kind: 'waiting', message: expect.stringContaining('100') },
    ]);
  });

  it('tells a leader nothing that it saw as a follower', () => {
    let decided = decide(initialBackend, observed(), 0);
    decided = decide(decided.state, { type: 'workloadTold', report }, 1);
    decided = decide(decided.state, answer(ready), 2);
    decided = decide(decided.state, { type: 'leadershipTold', leadership: leadershipOf() }, 9_000);
    expect(decided.tell).toContainEqual([
      'config',
      { type: 'backendsTold', facts: new Map(), under: leadershipOf().epoch },
    ]);
    expect(decided.effects).toMatchObject([{ type: 'inspect' }]);
    expect(decided.state.waits).toEqual([]);
    decided = decide(decided.state, answer(ready), 9_001);
    expect(decided.tell).toContainEqual([
      'config',
      { type: 'backendsTold', facts: new Map([['main', ready]]), under: leadershipOf().epoch },
    ]);
  });

  it('holds off a cluster that is not the one served, in words that name both, until it is accepted', () => {
    const spec = specOf({ backends: [{ name: 'main', systemId: '7' }] });
    const serving = (cluster: string | null) =>
      ({
        type: 'observed',
        snapshot: snapshotOf({
          intent: intentOf({ backends: { main: backendOf({ cluster }) } }),
          published: publishedOf({ spec }),
        }),
      }) as const;
    let decided = decide(initialBackend, serving(null), 0);
    decided = decide(decided.state, { type: 'workloadTold', report }, 1);
    decided = decide(decided.state, answer(ready), 2);
    const told = decided.tell?.find(([, { type }]) => type === 'backendsTold')?.[1];
    expect(told).toMatchObject({ facts: new Map([['main', { kind: 'blocked', reason: expect.any(String) }]]) });
    expect(decided.state.waits).toMatchObject([{ id: 'backend:main', kind: 'blocked', on: 'operator' }]);
    expect(decided.state.waits[0]?.message).toMatch(/identifier 1\).*\(7\).*--accept-cluster 1/);
    decided = decide(decided.state, serving('1'), 3);
    expect(decided.state.waits).toEqual([]);
    expect(decided.tell).toContainEqual([
      'client',
      { type: 'backendsTold', facts: new Map([['main', ready]]), under: null },
    ]);
  });
});
