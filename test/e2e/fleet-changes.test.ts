import { beforeEach, describe, expect, inject, it } from 'vitest';
import { Accountant } from '../support/accountant.ts';
import { isActive, type Status, useComposeFleet } from '../support/compose-fleet.ts';
import { startReconnectingLoad } from '../support/compose-load.ts';
import { docker } from '../support/docker.ts';
import { UnitWords } from '../support/unit-words.ts';

/** Clients that stay are cut sooner than by default; everything else is as a stranger has it. */
const fleet = useComposeFleet({ environment: { TROUPE_DRAIN_DEADLINE: '5s' } });
beforeEach(async () => {
  if ((await fleet().containers('unit')).length !== 3) await fleet().scale(3);
  await fleet().until('three are active', (status) => isActive(status, 3));
});

const numbersOf = ({ units }: Status): readonly number[] => units.map(({ number }) => number);
const activeIn = ({ units }: Status): readonly number[] =>
  units.filter(({ status }) => status === 'active').map(({ number }) => number);
const pidsOf = ({ units }: Status, name: string) =>
  units.find(({ unit }) => unit === name)?.instances.map(({ pid }) => pid);

const rounds = process.env['TROUPE_TEST_LONG'] === '1' ? 10 : 1;

describe('a fleet in containers', () => {
  it.each(Array.from({ length: rounds }, (_, round) => round + 1))(
    'grows to five, shrinks to one and grows again, and no client loses more than a connection to a unit that drains (%i)',
    async () => {
      await using words = await UnitWords.of(fleet());
      await using load = await startReconnectingLoad(fleet());
      await using clients = await Accountant.start(fleet());

      await fleet().scale(5);
      await words.follow();
      const five = await fleet().until('five are active', (status) => isActive(status, 5));
      expect(numbersOf(five)).toEqual([0, 1, 2, 3, 4]);

      await fleet().scale(1);
      const one = await fleet().until('one is active, four are down', ({ units }) => {
        const active = units.filter(({ status }) => status === 'active').length;
        return active === 1 && units.filter(({ status }) => status === 'down').length === 4;
      });
      expect(numbersOf(one)).toEqual([0, 1, 2, 3, 4]);

      await fleet().scale(3);
      await words.follow();
      const three = await fleet().until('three are active', (status) => isActive(status, 3));
      expect(numbersOf(three)).toEqual([0, 1, 2, 3, 4]); // Who comes takes the place of one that went.
      expect(activeIn(three)).toEqual(expect.arrayContaining([...activeIn(one)]));
      await clients.untilWritten(50);

      const account = await clients.close();
      const report = await load.end();
      expect(words.namesOfTwo).toEqual([]);
      expect(account).toMatchObject({ missing: [], doubled: [], refused: [] });
      expect(words.unexpected(account)).toEqual([]);
      expect(report).toMatchObject({ exitCode: 0, failed: 0, complaints: [] });
      expect(report.transactions).toBeGreaterThan(100);
    },
  );

  it('hangs up on nobody while many newcomers are found at once that do not listen yet', async () => {
    const newcomers = 8;
    await using load = await startReconnectingLoad(fleet());
    await using clients = await Accountant.start(fleet()); // They stay, so newcomers have the fewest clients.
    const balancer = await fleet().container('haproxy');
    const said = async (what: RegExp) => (await docker(['logs', balancer.id])).match(what)?.length ?? 0;
    const refusals = /^Server units\/\S+ is DOWN/gm;
    const before = await said(refusals);
    await docker(['pause', balancer.id]);
    await using _ = await fleet().startDeafUnits(newcomers);
    await docker(['unpause', balancer.id]);
    await expect
      .poll(() => said(refusals), { timeout: 30_000, interval: 200 })
      .toBeGreaterThanOrEqual(before + newcomers);
    await clients.untilWritten(50);

    expect(await clients.close()).toMatchObject({ missing: [], doubled: [], breaks: [], refused: [] });
    expect(await load.end()).toMatchObject({ exitCode: 0, failed: 0, complaints: [] });
  });

  it('has its image replaced unit by unit, and no client loses more than a connection to a unit that drains', async () => {
    const { next } = inject('e2e').images;
    const before = await fleet().status();
    await using words = await UnitWords.of(fleet());
    await using load = await startReconnectingLoad(fleet());
    await using clients = await Accountant.start(fleet());

    fleet().use(next);
    for (const { id } of await fleet().containers('unit')) {
      await docker(['stop', id]);
      await docker(['rm', id]);
      await fleet().compose('up', '-d', '--no-build', '--no-deps', '--no-recreate', 'unit');
      await fleet().untilHealthy();
      await words.follow();
    }
    const after = await fleet().until('three are active', (status) => isActive(status, 3));
    await clients.untilWritten(50);

    const account = await clients.close();
    const report = await load.end();
    const images = (await fleet().containers('unit')).map(({ id }) =>
      docker(['inspect', '-f', '{{.Config.Image}}', id]),
    );
    expect(await Promise.all(images)).toEqual([`${next}\n`, `${next}\n`, `${next}\n`]);
    expect(numbersOf(after)).toEqual(numbersOf(before));
    expect(after.generation).toEqual(before.generation);
    expect(words.namesOfTwo).toEqual([]);
    expect(account).toMatchObject({ missing: [], doubled: [], refused: [] });
    expect(words.unexpected(account)).toEqual([]);
    expect(report).toMatchObject({ exitCode: 0, failed: 0, complaints: [] });
  });

  it('loses the connections of a unit whose network is gone, and no other; it is one of them again when it is back', async () => {
    await using clients = await Accountant.start(fleet());
    const before = await fleet().status();
    const cut = before.leader?.unit ?? '';
    const container = await fleet().containerOf(cut);
    const address = await fleet().addressOf(container);
    await fleet().disconnect(container);
    await fleet().until(
      'another leads, and the one that is cut off is not heard of',
      ({ leader, units }) =>
        leader !== null &&
        leader.unit !== cut &&
        units.some(({ unit, status, message }) => unit === cut && status === 'unknown' && message !== ''),
      container,
    );
    await expect
      .poll(() => fleet().statusSeenFrom(container.id), { timeout: 30_000, interval: 500 })
      .toMatchObject({ answeredBy: cut, leader: null, backplane: { state: 'unreachable' } });
    await expect.poll(() => clients.through.has(address), { timeout: 60_000 }).toBe(false);
    await clients.untilWritten(100);
    // Who is cut off may live: its number is not given to a newcomer, though its folder is at hand.
    await fleet().compose('up', '-d', '--no-build', '--no-recreate', '--scale', 'unit=4');
    await fleet().until('a newcomer is the third', (status) => isActive(status, 3), container);
    await fleet().reconnect(container, 'unit');
    const after = await fleet().until('four are active', (status) => isActive(status, 4));
    await expect.poll(() => clients.through.size, { timeout: 10_000 }).toBeGreaterThan(1);
    const account = await clients.close();
    expect(account).toMatchObject({ missing: [], doubled: [] });
    expect(account.breaks.filter(({ through }) => through !== address)).toEqual([]);
    expect(pidsOf(after, cut)).toEqual(pidsOf(before, cut));
    await using later = await Accountant.start(fleet(), 12);
    await later.untilWritten(100);
    expect(later.through.size).toBe(4);
    expect(await later.close()).toMatchObject({ missing: [], doubled: [], breaks: [], refused: [] });
  });

  it('gives the number of a unit whose coordinator is stuck to nobody, however long, and no client notices', async () => {
    await using clients = await Accountant.start(fleet());
    const before = await fleet().status();
    const stuck = before.leader?.unit ?? '';
    const container = await fleet().containerOf(stuck);
    const coordinator = (await fleet().processes(container)).find(({ command }) =>
      /^node .*troupe unit$/.test(command),
    );
    if (coordinator === undefined) throw new Error(`no coordinator runs in ${container.name}`);
    const isUnknown = ({ units }: Status): boolean =>
      units.some(({ unit, status }) => unit === stuck && status === 'unknown');
    await fleet().signal(coordinator, 'STOP');
    try {
      await fleet().until('nobody hears of it', isUnknown, container);
      const holder = `/var/lib/troupe/${stuck.replace('/', '-')}/holder.json`;
      await docker(['exec', container.id, 'touch', '--date', '1 hour ago', holder]); // As if it were stuck for so long.
      await fleet().compose('up', '-d', '--no-build', '--no-recreate', '--scale', 'unit=4');
      const four = await fleet().until('a newcomer is the third', (status) => isActive(status, 3), container);
      expect(isUnknown(four)).toBe(true);
    } finally {
      await fleet().signal(coordinator, 'CONT');
    }
    const after = await fleet().until('four are active', (status) => isActive(status, 4));
    expect(pidsOf(after, stuck)).toEqual(pidsOf(before, stuck));
    await clients.untilWritten(50);
    expect(await clients.close()).toMatchObject({ missing: [], doubled: [], breaks: [], refused: [] });
  });

  it('follows its backend from the primary that ends to the standby that is promoted', async () => {
    await using clients = await Accountant.start(fleet());
    const before = await fleet().status();
    await fleet().compose('stop', 'postgres');
    await fleet().until('status says that the primary is away', ({ relations }) =>
      relations.some(({ name, state }) => name === 'main' && state === 'blocked'),
    );
    await fleet().compose('exec', '-T', '-u', 'postgres', 'postgres-replica', 'psql', '-qXc', 'select pg_promote()');
    const after = await fleet().until(
      'it serves from the new primary',
      (status) =>
        status.relations.every(
          ({ name, servers }) => name !== 'main' || servers?.primary === 'postgres-replica:5432',
        ) && isActive(status, 3),
    );
    await clients.untilWritten(50);
    const servedAt = Date.now();
    await clients.untilWritten(100);
    const account = await clients.close();
    expect(account).toMatchObject({ missing: [], doubled: [] });
    // A session ends with its server, once; new ones are told why there is none until the other one serves.
    const ended = account.breaks.filter(({ through }) => through !== 'unknown').map(({ writer }) => writer);
    expect(ended).toEqual([...new Set(ended)]);
    expect(account.breaks.filter(({ at }) => at > servedAt)).toEqual([]);
    expect(after.units.map(({ unit }) => [unit, pidsOf(after, unit)])).toEqual(
      before.units.map(({ unit }) => [unit, pidsOf(before, unit)]),
    );
    expect(after.generation.good).toBeGreaterThan(before.generation.good ?? 0);
  });
});
