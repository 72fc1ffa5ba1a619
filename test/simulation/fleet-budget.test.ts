import { expect, it } from 'vitest';
import { calm, type Faults } from '../../src/actors/kit/faults.ts';
import type { Change } from '../../src/actors/model/change.ts';
import { Secret } from '../../src/actors/model/secret.ts';
import { Fleet } from './kit-fleet.ts';

const backend: Change = {
  type: 'addBackend',
  name: 'main',
  endpoints: ['db:5432'],
  username: 'postgres',
  password: new Secret('secret'),
  maintenanceDatabase: 'postgres',
};
const client: Change = { type: 'addClient', name: 'orders', database: 'orders', backend: null, extraUserRoles: [] };
const budget = (connections: number): Change => ({ type: 'setOptions', options: { max_db_connections: connections } });

const reads = (choice: string): Change => ({ type: 'setOptions', options: { read_only_fallback: choice } });

const rough = {
  delayMs: [0.2, 40],
  requestLost: 0.03,
  answerLost: 0.03,
  late: 0.02,
  repeated: 0.02,
  doubled: 0.02,
} as const satisfies Partial<Faults>;

/** Three units that serve a database with a budget of 60, in use to the last connection. */
const saturated = async (seed: number, faults: Partial<Faults> = {}): Promise<Fleet> => {
  const fleet = new Fleet(seed);
  for (const number of [0, 1, 2]) await fleet.start(number);
  await fleet.world.runAsync(1_000);
  for (const change of [budget(60), backend, client]) {
    fleet.ask(change);
    await fleet.world.runAsync(2_000);
  }
  fleet.machine.saturate();
  expect(fleet.machine.openTo('orders')).toBe(60);
  for (const unit of fleet.units) unit.faults = { ...unit.faults, ...faults };
  return fleet;
};

/** Both entries lead to one server. */
const openIn = ({ machine }: Fleet): number => machine.openTo('orders') + machine.openTo('orders_readonly');
const holdingsIn = ({ hub }: Fleet) => hub.store.generations.at(-1)?.value.spec.holdings;

it('a unit that joins a saturated fleet gets its share in two generations, and never is there one connection too many', async () => {
  const fleet = await saturated(1);
  const before = fleet.hub.store.generations.at(-1)?.value.generation ?? 0;
  await fleet.start(3);
  for (let step = 0; step < 400; step += 1) {
    await fleet.world.runAsync(10);
    fleet.machine.saturate();
    expect(fleet.machine.openTo('orders')).toBeLessThanOrEqual(60);
  }
  expect(fleet.machine.openTo('orders')).toBe(60);
  expect(fleet.machine.processOf('pgbouncer/3', 1)?.open.get('orders')).toBeGreaterThanOrEqual(7);
  expect(fleet.hub.store.generations.at(-1)?.value.generation).toBe(before + 2);
  expect(holdingsIn(fleet)).toEqual([]);
});

it('reads that are led to the primary, and no longer, share its budget at every moment', async () => {
  const fleet = await saturated(1);
  const { machine, world, hub } = fleet;
  const choose = async (choice: string): Promise<number> => {
    const before = hub.store.generations.at(-1)?.value.generation ?? 0;
    fleet.ask({ type: 'setOptions', options: { read_only_fallback: choice } });
    for (let step = 0; step < 400; step += 1) {
      await world.runAsync(10);
      machine.saturate();
      expect(openIn(fleet), `${choice}, ${step}`).toBeLessThanOrEqual(60);
    }
    expect(holdingsIn(fleet)).toEqual([]);
    return (hub.store.generations.at(-1)?.value.generation ?? 0) - before;
  };
  for (const _ of [1, 2]) {
    expect(await choose('primary')).toBe(2);
    expect([machine.openTo('orders'), machine.openTo('orders_readonly')]).toEqual([45, 15]);
    expect(await choose('none')).toBe(2);
    expect([machine.openTo('orders'), machine.openTo('orders_readonly')]).toEqual([60, 0]);
  }
});

it.each(Array.from({ length: 6 }, (_, index) => index + 1))(
  'whatever happens to units, leaders and messages, PostgreSQL never sees more than the budget; in the end it sees all of it (seed %i)',
  async (seed) => {
    const fleet = await saturated(seed, rough);
    const { world, machine } = fleet;
    const { random } = world;
    /** What ends each harm, and when. */
    let harms: readonly { readonly until: number; readonly end: () => Promise<void> }[] = [];
    const lasting = (end: () => Promise<void>): void => {
      harms = [...harms, { until: world.clock.now() + random.between([200, 8_000]), end }];
    };
    const revive = (number: number) => async (): Promise<void> => {
      (await fleet.start(number)).faults = { ...calm, ...rough };
    };
    const happenings: readonly [() => void, ...(() => void)[]] = [
      () => fleet.ask(budget(60)),
      () => fleet.ask(budget(40)),
      () => fleet.ask(reads('primary')),
      () => fleet.ask(reads('none')),
      () => {
        const unit = random.pick(fleet.units);
        unit?.pause();
        lasting(async () => unit?.resume());
      },
      () => {
        const unit = random.pick(fleet.units);
        unit?.crash();
        if (unit !== undefined) lasting(revive(Number(unit.name.split('/')[1])));
      },
      () => {
        // With its PgBouncers.
        const unit = random.pick(fleet.units);
        unit?.crash();
        for (const instance of [1, 2]) {
          const process = unit === undefined ? null : machine.processOf(unit.name, instance);
          if (process !== null) machine.end(process);
        }
        if (unit !== undefined) lasting(revive(Number(unit.name.split('/')[1])));
      },
    ];
    let most = 0;
    for (let slice = 0; slice < 300; slice += 1) {
      if (slice === 40) await revive(3)();
      if (slice === 120) await revive(4)();
      await world.runAsync(random.between([1, 150]));
      machine.saturate();
      most = Math.max(most, openIn(fleet));
      expect(openIn(fleet), `at ${slice}`).toBeLessThanOrEqual(60);
      if (random.chance(0.06) && harms.length < 2) random.pick(happenings)();
      for (const { until, end } of harms) if (until <= world.clock.now()) await end();
      harms = harms.filter(({ until }) => until > world.clock.now());
    }
    expect(most).toBe(60);
    for (const { end } of harms) await end();
    for (const unit of fleet.units) unit.faults = calm;
    fleet.ask(budget(60));
    fleet.ask(reads('none'));
    for (let second = 0; second < 60; second += 1) {
      await world.runAsync(1_000);
      machine.saturate();
      expect(openIn(fleet)).toBeLessThanOrEqual(60);
    }
    expect(machine.openTo('orders')).toBe(60);
    expect(holdingsIn(fleet)).toEqual([]);
    expect(fleet.hub.store.generations.at(-1)?.value.spec.slots).toHaveLength(5);
  },
);
