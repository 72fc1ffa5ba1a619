import { beforeEach, describe, expect, it } from 'vitest';
import { Accountant } from '../support/accountant.ts';
import { isActive, type Process, type Status, useComposeFleet } from '../support/compose-fleet.ts';
import { docker } from '../support/docker.ts';

const fleet = useComposeFleet();
beforeEach(async () => {
  if ((await fleet().containers('unit')).length !== 3) await fleet().scale(3);
  await fleet().until('three are active', (status) => liveOf(status).length === 3);
});

const numbersOf = ({ units }: Status): readonly number[] => units.map(({ number }) => number).toSorted((a, b) => a - b);
const liveOf = ({ units }: Status): readonly number[] =>
  units
    .filter(({ status }) => status === 'active')
    .map(({ number }) => number)
    .toSorted((a, b) => a - b);
const pidsOf = ({ units }: Status, name: string) =>
  units.find(({ unit }) => unit === name)?.instances.map(({ pid }) => pid);

const firstOf = async (service: string): Promise<Process> => {
  const [first] = await fleet().processes(await fleet().container(service));
  if (first === undefined) throw new Error(`no process runs in ${service}`);
  return first;
};
const patience = { timeout: 60_000, interval: 500 };

describe('docker compose up', () => {
  it('gives a stranger a fleet that works, from nothing', async () => {
    const status = await fleet().until(
      'all are active',
      (one) => isActive(one, 3) && one.relations.every(({ state }) => state === 'active'),
    );
    expect(numbersOf(status)).toEqual([0, 1, 2]);
    expect(status.relations.map(({ name }) => name).toSorted()).toEqual(['app', 'main']);
    await using clients = await Accountant.start(fleet());
    await clients.untilWritten(50);
    expect(clients.through.size).toBeGreaterThan(1); // HAProxy spreads them.
    expect(await clients.close()).toMatchObject({ missing: [], doubled: [], breaks: [], refused: [] });
  });

  it('has a health check for every service, and none of them holds a secret in its environment', async () => {
    const services = (await fleet().compose('config', '--services')).split('\n').filter(Boolean);
    for (const service of services) {
      const [container] = await fleet().containers(service);
      expect([service, container?.health]).toEqual([service, 'healthy']);
      const environment = await docker(['inspect', '-f', '{{json .Config.Env}} {{json .Args}}', container?.id ?? '']);
      const { password } = await fleet().login();
      expect([service, environment.includes(password)]).toEqual([service, false]);
      expect([service, /(?:PASSWORD|TOKEN|SECRET)=/.test(environment)]).toEqual([service, false]);
    }
  });
});

describe('a fleet in containers', () => {
  it('keeps its PgBouncers and every client when a coordinator is killed inside its container', async () => {
    const before = await fleet().status();
    const { unit, pid } = before.units.find((one) => one.status === 'active') ?? { unit: '', pid: 0 };
    const container = await fleet().containerOf(unit);
    await using clients = await Accountant.start(fleet());
    await docker(['exec', container.id, 'sh', '-c', `kill -9 ${pid}`]);
    const after = await fleet().until('it is back', ({ units }) =>
      units.some((one) => one.unit === unit && one.status === 'active' && one.pid !== pid && one.pid !== null),
    );
    await clients.untilWritten(50);
    expect(pidsOf(after, unit)).toEqual(pidsOf(before, unit));
    expect(await clients.close()).toMatchObject({ missing: [], doubled: [], breaks: [], refused: [] });
  });

  it('starts a PgBouncer again that is killed, and loses only its connections', async () => {
    const before = await fleet().status();
    const { unit, instances } = before.units.find((one) => one.status === 'active') ?? { unit: '', instances: [] };
    const container = await fleet().containerOf(unit);
    await using clients = await Accountant.start(fleet());
    const pid = instances[0]?.pid;
    await docker(['exec', container.id, 'sh', '-c', `kill -9 ${pid}`]);
    await fleet().until('it serves again', ({ units }) =>
      units.some(
        (one) =>
          one.unit === unit &&
          one.status === 'active' &&
          one.instances.every((i) => i.state === 'serving' && i.pid !== pid),
      ),
    );
    await clients.untilWritten(50);
    const account = await clients.close();
    expect(account).toMatchObject({ missing: [], doubled: [] });
    const address = await fleet().addressOf(container);
    expect(account.breaks.filter(({ through }) => through !== address)).toEqual([]);
  });

  it('survives the death of its store: every PgBouncer serves, and status says so until it is back', async () => {
    await using clients = await Accountant.start(fleet());
    const before = await fleet().status();
    await fleet().crash(await firstOf('valkey'));
    const after = await fleet().until(
      'the store is back',
      (status) => status.backplane.state === 'connected' && status.leader !== null && isActive(status, 3),
    );
    await clients.untilWritten(50);
    expect(after.generation).toEqual(before.generation);
    expect(await clients.close()).toMatchObject({ missing: [], doubled: [], breaks: [], refused: [] });
  });

  it.each([
    ['postgres-replica', 'its first process', /^postgres -c/, 0],
    ['postgres-replica', 'the receiver of its log', /^postgres: walreceiver/, 0],
    ['haproxy', 'its first process', /^haproxy/, 0],
    ['haproxy', 'its worker', /^haproxy/, 1],
    ['unit', 'its init', /^tini/, 0],
    ['unit', 'what starts its coordinator', /troupe-entrypoint/, 1],
  ])('comes back to health by itself when %s loses %s', async (service, _, command, which) => {
    const writers = 6;
    await using clients = await Accountant.start(fleet(), writers);
    const container = await fleet().container(service);
    const address = await fleet().addressOf(container);
    const alike = async () => (await fleet().processes(container)).filter((process) => command.test(process.command));
    const before = await alike();
    const victim = before[which];
    if (victim === undefined) throw new Error(`${service} has no such process`);
    await fleet().crash(victim);
    await expect
      .poll(async () => (await alike().catch(() => [])).filter(({ pid }) => pid !== victim.pid).length, patience)
      .toBe(before.length);
    await fleet().untilHealthy();
    await fleet().until('three are active', (status) => isActive(status, 3));
    await clients.untilWritten(50);
    const account = await clients.close();
    expect(account).toMatchObject({ missing: [], doubled: [] });
    // Everybody is a client of the balancer, nobody of the replica.
    const affected = { haproxy: account.breaks, unit: account.breaks.filter(({ through }) => through === address) };
    expect(account.breaks).toEqual(service === 'haproxy' || service === 'unit' ? affected[service] : []);
    // Who is just connecting through a unit that ends is cut as well.
    if (service !== 'haproxy') expect(account.refused.length).toBeLessThanOrEqual(service === 'unit' ? writers : 0);
  });

  it('finishes what clients of a unit do when it is stopped while its coordinator begins anew', async () => {
    const container = await fleet().container('unit');
    const asked = ['-c', 'select pg_sleep(6)', '-c', 'select 7'].map((word) => `'${word}'`).join(' ');
    const login = `set -a; . /client/app; export PGHOST=${await fleet().addressOf(container)}`;
    const query = fleet().compose('exec', '-T', 'client', 'bash', '-c', `${login}; exec psql -qAtX ${asked}`);
    const isAsked = `select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(6)'`;
    await expect
      .poll(() => fleet().compose('exec', '-T', '-u', 'postgres', 'postgres', 'psql', '-qAtX', '-c', isAsked), patience)
      .toBe('1\n');
    await docker(['kill', '-s', 'HUP', container.id]);
    await docker(['stop', '-t', '60', container.id]);
    expect(await query).toBe('\n7\n');
    expect(await docker(['inspect', '-f', '{{.State.ExitCode}}', container.id])).toBe('0\n');
  });

  it('loses the connections of a unit whose container is killed, and no other', async () => {
    await using clients = await Accountant.start(fleet());
    const { leader } = await fleet().status();
    const container = await fleet().containerOf(leader?.unit ?? '');
    const address = await fleet().addressOf(container);
    await docker(['kill', container.id]);
    const after = await fleet().until(
      'another leads',
      (status) => status.leader !== null && status.leader.epoch > (leader?.epoch ?? 0),
    );
    expect(after.leader?.unit).not.toBe(leader?.unit);
    await clients.untilWritten(100);
    const account = await clients.close();
    expect(account).toMatchObject({ missing: [], doubled: [] });
    expect(account.breaks.filter(({ through }) => through !== address)).toEqual([]);
  });

  it('is what it was after down and up with its volumes: generation, relations, numbers; and its epoch is higher', async () => {
    const before = await fleet().status();
    const login = await fleet().login();
    await fleet().compose('down');
    await fleet().compose('up', '-d', '--no-build', '--wait');
    const after = await fleet().until('three are active', (status) => liveOf(status).length === 3);
    expect(after.generation).toEqual(before.generation);
    expect(liveOf(after)).toEqual(liveOf(before));
    expect(after.relations.map(({ id, name, state }) => ({ id, name, state }))).toEqual(
      before.relations.map(({ id, name, state }) => ({ id, name, state })),
    );
    expect(after.leader?.epoch).toBeGreaterThan(before.leader?.epoch ?? 0);
    expect(await fleet().login()).toEqual(login);
  });
});
