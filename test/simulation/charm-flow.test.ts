/**
 * The ancestor's charts of its event flow: every deferral arrow is a wait here, with an id, and ends by the message that brings
 * what was missing. Each test shows the wait and its end; its trace is kept in test/golden/charm-flow.
 */
import { describe, expect, it } from 'vitest';
import { goldenTrace } from '../../src/actors/kit/trace.ts';
import type { Millis } from '../../src/actors/model/ids.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import type { TraceEntry } from '../../src/actors/model/status.ts';
import { seatOf } from '../../src/infra/memory/backplane-store.ts';
import { epoch, nonce, unit as unitName } from '../support/builders.ts';
import { Fleet, type Unit } from './kit-fleet.ts';

const backend = {
  type: 'addBackend',
  name: 'main',
  endpoints: ['db:5432'],
  username: 'postgres',
  password: new Secret('secret'),
  maintenanceDatabase: 'postgres',
} as const;
const client = { type: 'addClient', name: 'orders', database: 'orders', backend: null, extraUserRoles: [] } as const;

const waitsOf = (unit: Unit): readonly string[] => unit.stateOf('unit').status.waits.map(({ id }) => id);
const wordOf = (unit: Unit): string => unit.stateOf('unit').status.word;
const servedBy = (unit: Unit): number | null => unit.stateOf('unit').report?.verified?.generation ?? null;

/** Heartbeats that changed nothing are no part of the flow. */
const isTold = ({ tells, effects }: TraceEntry): boolean =>
  tells.some((tell) => !/:(ticked|observed)$/.test(tell)) ||
  effects.some((effect) => !/^(observe|inspect)\b/.test(effect));

const lastSeq = (fleet: Fleet): number => fleet.world.trace.entries().at(-1)?.seq ?? 0;
const keepsGolden = async (fleet: Fleet, chart: string, after = 0): Promise<void> =>
  expect(
    goldenTrace(fleet.world.trace.entries().filter((entry) => entry.seq > after && isTold(entry))),
  ).toMatchFileSnapshot(`../golden/charm-flow/${chart}.txt`);

/** Somebody else leads for so long, and does nothing. */
const ghostLeads = (fleet: Fleet, ms: number): void => {
  const seat = seatOf({ unit: unitName(9), nonce: nonce('ghost'), instances: 1, boot: 1, epoch: epoch(0) });
  const joined = fleet.hub.ask(seat, { type: 'observe' });
  fleet.hub.ask(joined.seat, { type: 'acquireLease', ttl: ms as Millis });
};

const serving = async (): Promise<{ fleet: Fleet; unit: Unit }> => {
  const fleet = new Fleet(1);
  const unit = await fleet.start(0);
  await fleet.world.runAsync(1_000);
  fleet.ask(backend);
  await fleet.world.runAsync(1_000);
  fleet.ask(client);
  await fleet.world.runAsync(4_000);
  expect(waitsOf(unit)).toEqual([]);
  return { fleet, unit };
};

describe('charm startup', () => {
  it('start waits until the container is available (workload)', async () => {
    const fleet = new Fleet(1);
    const unit = await fleet.start(0);
    fleet.workloads.get(0)?.breakDown('the state directory is not there yet');
    await fleet.world.runAsync(3_000);
    expect(waitsOf(unit)).toContain('workload');
    expect(wordOf(unit)).toBe('blocked');
    fleet.workloads.get(0)?.breakDown(null);
    await fleet.world.runAsync(3_000);
    expect(waitsOf(unit)).toEqual([]);
    expect(servedBy(unit)).toBe(1);
    await keepsGolden(fleet, 'start-waits-for-the-container');
  });

  it('start, on a unit that does not lead, waits until the leader has published a fleet spec (fleet-spec)', async () => {
    const fleet = new Fleet(1);
    ghostLeads(fleet, 4_000);
    const unit = await fleet.start(0);
    await fleet.world.runAsync(2_000);
    expect(waitsOf(unit)).toEqual(['fleet-spec']);
    expect(unit.stateOf('unit').status.waits[0]?.on).toBe('leader');
    await fleet.world.runAsync(5_000);
    expect(waitsOf(unit)).toEqual([]);
    expect(servedBy(unit)).toBe(1);
    await keepsGolden(fleet, 'start-waits-for-the-leader');
  });

  it('workload ready waits for the fleet spec: the hook alone starts nothing (fleet-spec)', async () => {
    const fleet = new Fleet(1);
    ghostLeads(fleet, 4_000);
    const unit = await fleet.start(0);
    await fleet.world.runAsync(1_000);
    unit.send(['unit', { type: 'hookArrived', hook: { type: 'workloadReady' } }]);
    await fleet.world.runAsync(1_000);
    expect(waitsOf(unit)).toEqual(['fleet-spec']);
    expect(unit.stateOf('workload').report?.instances.every(({ pid }) => pid === null)).toBe(true);
    await fleet.world.runAsync(5_000);
    expect(servedBy(unit)).toBe(1);
    await keepsGolden(fleet, 'workload-ready-waits-for-the-fleet-spec');
  });

  it('a backend relation waits until PgBouncer can run (backend:main on workload)', async () => {
    const fleet = new Fleet(1);
    const unit = await fleet.start(0);
    fleet.workloads.get(0)?.breakDown('the state directory is not there yet');
    await fleet.world.runAsync(2_000);
    fleet.ask(backend);
    await fleet.world.runAsync(1_500);
    expect(unit.stateOf('unit').status.waits).toContainEqual(
      expect.objectContaining({ id: 'backend:main', on: 'workload' }),
    );
    fleet.workloads.get(0)?.breakDown(null);
    await fleet.world.runAsync(3_000);
    expect(waitsOf(unit)).toEqual([]);
    await keepsGolden(fleet, 'backend-waits-for-the-workload');
  });

  it('a client relation waits for its backend (client:orders:backend), and no auth file names it before', async () => {
    const fleet = new Fleet(1);
    const unit = await fleet.start(0);
    fleet.postgres.away = 'connection refused';
    await fleet.world.runAsync(1_000);
    fleet.ask(backend);
    await fleet.world.runAsync(1_000);
    fleet.ask(client);
    await fleet.world.runAsync(2_000);
    expect(waitsOf(unit)).toEqual(['backend:main', 'client:orders:backend']);
    expect(fleet.hub.store.generations.at(-1)?.value.spec.users).toEqual([]);
    fleet.postgres.away = null;
    await fleet.world.runAsync(5_000);
    expect(waitsOf(unit)).toEqual([]);
    expect(fleet.hub.store.generations.at(-1)?.value.spec.users).toHaveLength(1);
    await keepsGolden(fleet, 'client-waits-for-the-backend');
  });

  it('a client relation waits until the instances of every live unit serve it (client:orders:units)', async () => {
    const fleet = new Fleet(1);
    const unit = await fleet.start(0);
    await fleet.world.runAsync(1_000);
    fleet.ask(backend);
    await fleet.world.runAsync(1_000);
    const other = await fleet.start(1);
    fleet.workloads.get(1)?.breakDown('the state directory is not there yet');
    await fleet.world.runAsync(2_000);
    fleet.ask(client);
    await fleet.world.runAsync(3_000);
    expect(unit.stateOf('unit').status.waits).toContainEqual(
      expect.objectContaining({ id: 'client:orders:units', on: 'pgbouncer/1' }),
    );
    fleet.workloads.get(1)?.breakDown(null);
    await fleet.world.runAsync(4_000);
    expect([...waitsOf(unit), ...waitsOf(other)]).toEqual([]);
    await keepsGolden(fleet, 'client-waits-for-the-units');
  });
});

describe('config updates', () => {
  it('options reach leader and followers, and each reloads', async () => {
    const { fleet, unit } = await serving();
    const other = await fleet.start(1);
    await fleet.world.runAsync(3_000);
    const before = lastSeq(fleet);
    fleet.ask({ type: 'setOptions', options: { pool_mode: 'transaction' } });
    await fleet.world.runAsync(2_000);
    expect(servedBy(unit)).toBe(servedBy(other));
    const taken = fleet.world.trace
      .entries()
      .filter(({ seq }) => seq > before)
      .flatMap(({ actor, effects }) => effects.map((effect) => `${actor} ${effect}`));
    for (const name of ['pgbouncer/0', 'pgbouncer/1'])
      expect(taken).toContainEqual(expect.stringMatching(new RegExp(`^${name} workload take.*reload`)));
    await keepsGolden(fleet, 'options-changed', before);
  });

  it('the hook does nothing by itself on a unit that does not lead', async () => {
    const fleet = new Fleet(1);
    ghostLeads(fleet, 60_000);
    const unit = await fleet.start(0);
    await fleet.world.runAsync(2_000);
    unit.send(['unit', { type: 'hookArrived', hook: { type: 'optionsChanged' } }]);
    await fleet.world.runAsync(1_000);
    expect(fleet.hub.store.generations).toEqual([]);
  });

  it('a leader that does not know the backend yet publishes nothing (backend-facts)', async () => {
    const { fleet, unit } = await serving();
    fleet.workloads.get(0)?.breakDown('the state directory is not there any more');
    unit.crash();
    const next = await fleet.start(0);
    fleet.workloads.get(0)?.breakDown('the state directory is not there any more');
    await fleet.world.runAsync(1_000);
    fleet.ask({ type: 'setOptions', options: { pool_mode: 'transaction' } });
    const generations = fleet.hub.store.generations.length;
    await fleet.world.runAsync(7_000);
    expect(waitsOf(next)).toEqual(expect.arrayContaining(['workload', 'backend:main', 'backend-facts']));
    expect(fleet.hub.store.generations).toHaveLength(generations);
    fleet.workloads.get(0)?.breakDown(null);
    await fleet.world.runAsync(4_000);
    expect(waitsOf(next)).toEqual([]);
    expect(fleet.hub.store.generations).toHaveLength(generations + 1);
  });
});

describe('leader updates', () => {
  it('a deleted leader is replaced after an indefinite time (leader), and nothing else changes', async () => {
    const { fleet, unit } = await serving();
    const other = await fleet.start(1);
    await fleet.world.runAsync(3_000);
    const generations = fleet.hub.store.generations.length;
    const before = lastSeq(fleet);
    unit.crash();
    let waited = false;
    for (let step = 0; step < 800 && other.stateOf('leader').leadership === null; step += 1) {
      await fleet.world.runAsync(10);
      waited ||= waitsOf(other).includes('leader');
    }
    expect(waited).toBe(true);
    expect(other.stateOf('leader').leadership?.epoch).toBe(2);
    await fleet.world.runAsync(1_000);
    expect(waitsOf(other)).toEqual([]);
    expect(fleet.hub.store.generations).toHaveLength(generations);
    await keepsGolden(fleet, 'leader-deleted', before);
  });
});

describe('update status', () => {
  it('is blocked while the backend is not ready (backend:main)', async () => {
    const { fleet, unit } = await serving();
    fleet.postgres.away = 'connection refused';
    unit.send(['unit', { type: 'hookArrived', hook: { type: 'updateStatus' } }]);
    await fleet.world.runAsync(1_000);
    expect([wordOf(unit), waitsOf(unit)]).toEqual(['blocked', ['backend:main']]);
    fleet.postgres.away = null;
    unit.send(['unit', { type: 'hookArrived', hook: { type: 'updateStatus' } }]);
    await fleet.world.runAsync(1_000);
    expect([wordOf(unit), waitsOf(unit)]).toEqual(['active', []]);
  });

  it('is waiting while PgBouncer does not run (instances), and it is started again', async () => {
    const { fleet, unit } = await serving();
    const process = fleet.machine.processOf('pgbouncer/0', 1);
    if (process === null) throw new Error('instance 1 does not run');
    fleet.machine.end(process);
    const seen: string[] = [];
    for (let step = 0; step < 1_000; step += 1) {
      await fleet.world.runAsync(2);
      seen.push(`${wordOf(unit)} ${waitsOf(unit).join()}`);
    }
    expect(seen).toContain('waiting instances');
    expect(seen.at(-1)).toBe('active ');
    expect(fleet.machine.processOf('pgbouncer/0', 1)).not.toBeNull();
  });
});
