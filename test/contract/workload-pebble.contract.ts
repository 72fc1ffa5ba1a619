import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { Secret } from '../../src/actors/model/secret.ts';
import type { TlsMaterial } from '../../src/actors/model/workload.ts';
import { type Workload, WorkloadAway } from '../../src/actors/ports/workload.ts';
import { certificateAt } from '../../src/infra/instances/handshake.ts';
import { isAtLeast } from '../../src/pgbouncer/version.ts';
import { planChange } from '../../src/pgbouncer/plan.ts';
import { fingerprintOf } from '../../src/pgbouncer/tls.ts';
import { authority, first, type Pair, second } from '../support/certificates.ts';
import { pebbles } from '../support/pebble/pebbles.ts';
import { healthOf } from '../support/pebble/health.ts';
import { connectAs, PebbleMachine, type UnitOfPebble } from '../support/pebble/pebble-machine.ts';
import { pgbouncerBinaries, postgresServers, testAccount, useServer } from '../support/servers.ts';
import {
  address,
  all,
  inspect,
  never,
  pair,
  pidsOf,
  renderFor,
  serve,
  take,
  takeAll,
  workloadContract,
} from './workload.contract.ts';
import { connected, pooled } from './workload-pooled.ts';
import type { Wanted } from './workload-rendering.ts';

/** Both suites on one of the Pebbles, and one of the PgBouncers of this machine. */
export const pebbleWorkloadContract = async (which: 'small' | 'real', whichBinary: 0 | 1 | 2): Promise<void> => {
  const [small, real] = await pebbles();
  const pebble = which === 'small' ? small : real;
  const binary = (await pgbouncerBinaries())[whichBinary];
  const name = `PgBouncer ${binary?.version ?? ''} under ${pebble?.label ?? 'Pebble'}`;
  const { start } = pebble ?? { start: null };
  const { run } = binary ?? { run: null };
  if (start === null || run === null || binary === undefined) {
    describe(name, () => it.skip(pebble?.reason ?? binary?.reason ?? 'it cannot be had here', () => {}));
    return;
  }
  const openMachine = () => PebbleMachine.open({ version: binary.version, run }, start);
  workloadContract(name, openMachine);
  describe(`${name}, in a container of its own`, () => ownMatters(openMachine));
};

const ownMatters = (openMachine: () => Promise<PebbleMachine>): void => {
  let machine: PebbleMachine;
  let port: number;
  beforeEach(async () => {
    machine = await openMachine();
    port = await machine.freePort([address]);
  });
  afterEach(async () => {
    await machine[Symbol.asyncDispose]();
  });
  const open = async (unit: UnitOfPebble = pair): Promise<Workload> => (await machine.open(unit)).workload;
  const fileOf = (...path: readonly string[]): string => join(machine.stateDir('a'), ...path);
  const planFor = async (workload: Workload, wanted: Wanted) => {
    const rendered = await renderFor(workload, wanted);
    return { rendered, steps: planChange(await inspect(workload), rendered) };
  };

  it('finds nothing after the container was started again, and heals it', async () => {
    const wanted = { port, canary: 'gen-1' };
    await serve(await open(), wanted);
    await machine.startContainerAgain('a');
    const workload = await open();
    const { binary, disk, instances, obstacles } = await inspect(workload);
    expect(binary).toEqual({ kind: 'found', version: machine.version });
    expect(disk).toMatchObject({ authFile: null, instances: all.map((id) => ({ id, ini: null })) });
    expect(instances.map(({ state }) => state)).toEqual(['absent', 'absent']);
    expect(obstacles).toEqual([]);
    const { steps } = await planFor(workload, wanted);
    expect(steps.map(({ type }) => type)).toEqual(['prove', 'write', 'start', 'verify']);
    await takeAll(workload, steps);
    expect((await planFor(workload, wanted)).steps).toEqual([]);
    await using _client = await machine.connect('a', address, port);
  });

  it('starts what it finds written, when Pebble alone has forgotten everything', async () => {
    const wanted = { port, canary: 'gen-1' };
    await serve(await open(), wanted);
    const daemon = await machine.daemonOf('a');
    await daemon.kill();
    await daemon.startAgain();
    const workload = await open();
    const { steps } = await planFor(workload, wanted);
    expect(steps.map(({ type }) => type)).toEqual(['start', 'verify']);
    await takeAll(workload, steps);
  });

  it('goes on with the same coordinator when the container was started again', async () => {
    const wanted = { port, canary: 'gen-1' };
    const workload = await open();
    await serve(workload, wanted);
    await machine.startContainerAgain('a');
    await takeAll(workload, (await planFor(workload, wanted)).steps);
    await using _client = await machine.connect('a', address, port);
  });

  it('rejects while Pebble is away, and leaves open what became of a step', async () => {
    const workload = await open();
    await serve(workload, { port, canary: 'gen-1' });
    const daemon = await machine.daemonOf('a');
    await daemon.kill();
    await expect(inspect(workload)).rejects.toThrow(WorkloadAway);
    await expect(take(workload, { type: 'reload', instances: all })).rejects.toThrow(/Pebble does not answer/);
    await daemon.startAgain();
    expect((await inspect(workload)).instances.map(({ state }) => state)).toEqual(['absent', 'absent']);
  });

  it('has a crashed instance back before anybody looks, and finds nothing to do', async () => {
    const wanted = { port, canary: 'gen-1' };
    const workload = await open({ ...pair, options: { restartDelayMs: 50 } });
    await serve(workload, wanted);
    const [first = 0, second = 0] = pidsOf(await inspect(workload));
    machine.signal(second, 'SIGKILL');
    await expect
      .poll(async () => (await inspect(workload)).instances)
      .toMatchObject([
        { state: 'running', pid: first },
        { state: 'running', canary: 'gen-1' },
      ]);
    expect(pidsOf(await inspect(workload))).not.toContain(second);
    expect((await planFor(workload, wanted)).steps).toEqual([]);
  });

  it('lets Kubernetes know whether it takes clients, wherever it listens, and restarts nothing for that', async () => {
    const workload = await open({ ...pair, options: { checkPeriodMs: 100 } });
    const { socket } = await machine.daemonOf('a');
    const pebble = await machine.pebbleOf('a');
    const check = async () => (await pebble.checks(never)).map(({ name, level, status }) => [name, level, status]);
    expect(await check()).toEqual([]);
    await serve(workload, { port, canary: 'gen-1' });
    const elsewhere = await machine.freePort([address]);
    const looksAt = async (): Promise<unknown> => parse(await pebble.plan(never)).checks.pgbouncer.tcp;
    const { steps } = await planFor(workload, { port: elsewhere, canary: 'gen-2' });
    const half = 1 + steps.findIndex(({ type }) => type === 'start');
    await takeAll(workload, steps.slice(0, half));
    // The second one serves where it was.
    expect(await looksAt()).toEqual({ host: address, port });
    await takeAll(workload, steps.slice(half));
    expect(await looksAt()).toEqual({ host: address, port: elsewhere });
    expect(await check()).toEqual([['pgbouncer', 'ready', 'up']]);
    const pids = pidsOf(await inspect(workload));
    for (const pid of pids) machine.signal(pid, 'SIGKILL');
    await expect.poll(() => healthOf(socket, 'ready')).toBe(502);
    expect(await healthOf(socket, 'alive')).toBe(200);
    expect((await inspect(workload)).instances.map(({ state }) => state)).toEqual(['absent', 'absent']);
    await take(workload, { type: 'start', instances: [2] });
    await expect.poll(() => healthOf(socket, 'ready')).toBe(200);
  });

  describe('attests what was verified', () => {
    const wanted = () => ({ port, canary: 'gen-1', databases: [database] });
    const database = {
      name: 'orders',
      database: 'orders',
      backend: 'main',
      host: '127.0.0.1',
      port: 5432,
      maxConnections: 20,
      readOnly: false,
    };
    const attested = async () => (await inspect(await open())).attested;
    const served = async (): Promise<Workload> => {
      const workload = await open({ ...pair, options: { restartDelayMs: 50 } });
      await serve(workload, wanted());
      expect(await attested()).toBe(true);
      return workload;
    };

    it('to a later coordinator, and nothing before', async () => {
      const workload = await open();
      expect((await inspect(workload)).attested).toBe(false);
      const steps = (await planFor(workload, wanted())).steps;
      await takeAll(workload, steps.slice(0, -1));
      expect(await attested()).toBe(false);
      await takeAll(workload, steps.slice(-1));
      expect(await attested()).toBe(true);
    });

    it('of no process that came after it', async () => {
      const workload = await served();
      const [, second = 0] = pidsOf(await inspect(workload));
      machine.signal(second, 'SIGKILL');
      await expect
        .poll(async () => (await inspect(workload)).instances)
        .toMatchObject([{}, { state: 'running', canary: 'gen-1' }]);
      expect(await attested()).toBe(false);
    });

    it.each([
      ['of an instance', ['instances', '1', 'pgbouncer.ini']],
      ['of logins', ['userlist.txt']],
    ])('not with a file %s that somebody changed, and again once it is as it was', async (_, path) => {
      await served();
      const before = await readFile(fileOf(...path), 'utf8');
      await writeFile(fileOf(...path), `${before}\n`);
      expect(await attested()).toBe(false);
      await writeFile(fileOf(...path), before);
      expect(await attested()).toBe(true);
    });

    it('not with databases that an instance was made to load from another file', async () => {
      const workload = await served();
      const ini = fileOf('instances', '1', 'pgbouncer.ini');
      const before = await readFile(ini, 'utf8');
      await writeFile(ini, before.replaceAll('port=5432', 'port=5433'));
      await takeAll(workload, [{ type: 'reload', instances: [1] }]);
      await writeFile(ini, before);
      expect(await attested()).toBe(false);
    });
  });

  it('is not started by a replan once it was stopped', async () => {
    const workload = await open();
    await serve(workload, { port, canary: 'gen-1' });
    await takeAll(workload, [{ type: 'stop', instances: all }]);
    const pebble = await machine.pebbleOf('a');
    await pebble.ended(await pebble.replan(never), 10_000, never);
    expect((await inspect(workload)).instances.map(({ state }) => state)).toEqual(['absent', 'absent']);
  });

  it('keeps every file to the account that needs it, and secrets out of the plan and of arguments', async () => {
    const workload = await open();
    await serve(workload, { port, canary: 'gen-1' });
    const own = process.getuid?.() ?? 0;
    const { uid } = testAccount();
    const ownedBy = async (...path: readonly string[]) => {
      const { uid: owner, mode } = await stat(fileOf(...path));
      return [owner, (mode & 0o777).toString(8)];
    };
    expect(await ownedBy()).toEqual([uid, '700']);
    expect(await ownedBy('instances', '1')).toEqual([uid, '700']);
    expect(await ownedBy('run', '1')).toEqual([uid, '700']);
    expect(await ownedBy('userlist.txt')).toEqual([uid, '400']);
    expect(await ownedBy('hba.conf')).toEqual([uid, '400']);
    expect(await ownedBy('instances', '1', 'pgbouncer.ini')).toEqual([uid, '400']);
    expect(await ownedBy('logins.json')).toEqual([own, '600']);
    const secrets = (await machine.loginsOf('a')).flatMap(({ password, verifier }) => [
      password.reveal(),
      verifier.reveal(),
    ]);
    const plan = await (await machine.pebbleOf('a')).plan(never);
    const commands = pidsOf(await inspect(workload)).flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`]);
    const texts = [plan, ...(await Promise.all(commands.map((path) => readFile(path, 'utf8'))))];
    expect(texts.filter((text) => secrets.some((secret) => text.includes(secret)))).toEqual([]);
    const proving = await (await machine.pebbleOf('a')).listFiles(fileOf('proving'), never);
    expect(proving).toEqual([]);
  });

  it('lets its login command the consoles from the loopback, and from nowhere else', async () => {
    const workload = await open();
    await serve(workload, { port, canary: 'gen-1' });
    const { layout } = await inspect(workload);
    const [probe, console] = await machine.loginsOf('a');
    for (const { consoleAddress: host = '' } of layout.instances) {
      await using one = await connectAs(console, { host, port });
      await one.client.query('RELOAD');
      await expect(connectAs(console, { host, port, from: '127.0.0.77' })).rejects.toThrow(/rejected/);
      await expect(connectAs(console, { host, port, database: 'postgres' })).rejects.toThrow(
        /rejected|no such database/,
      );
      await using other = await connectAs(probe, { host, port, from: '127.0.0.77' });
      await expect(other.client.query('RELOAD')).rejects.toThrow(/admin access needed/);
    }
    await expect(connectAs(console, { host: address, port, from: '127.0.0.77' })).rejects.toThrow(/rejected/);
  });

  it('asks each instance at its own address, also where all listen everywhere', async () => {
    const workload = await open({ ...pair, listenAddress: '*' });
    await serve(workload, { port, canary: 'gen-1' });
    const [first = 0, second = 0] = pidsOf(await inspect(workload));
    machine.signal(first, 'SIGKILL');
    await expect.poll(() => machine.isAlive(first)).toBe(false);
    expect((await inspect(workload)).instances).toMatchObject([
      { state: 'absent' },
      { state: 'running', pid: second, canary: 'gen-1' },
    ]);
    expect(await workload.show(1, 'config', never)).toBeNull();
    await takeAll(workload, [{ type: 'start', instances: [1] }]);
  });

  it('makes up for a socket that somebody removed', async () => {
    const wanted = { port, canary: 'gen-1' };
    const workload = await open();
    await serve(workload, wanted);
    await rm(fileOf('run', '2', `.s.PGSQL.${port}`));
    expect((await inspect(workload)).instances).toMatchObject([{ unlinked: false }, { unlinked: true }]);
    await takeAll(workload, (await planFor(workload, wanted)).steps);
    expect((await inspect(workload)).instances.map(({ unlinked }) => unlinked)).toEqual([false, false]);
  });

  it('says which program is missing, or is none', async () => {
    const none = await open({ ...pair, options: { binary: 'no-such-pgbouncer' } });
    expect((await inspect(none)).binary).toMatchObject({
      kind: 'missing',
      reason: expect.stringContaining('there is no PgBouncer at "no-such-pgbouncer" in the workload container'),
    });
    const other = await open({ ...pair, options: { binary: '/bin/true' } });
    expect((await inspect(other)).binary).toMatchObject({
      kind: 'missing',
      reason: expect.stringContaining('is no PgBouncer'),
    });
  });

  it('lets instances beyond the configured number go once the others are proven', async () => {
    const wanted = { port, canary: 'gen-1' };
    const first = await machine.open(pair);
    await serve(first.workload, wanted);
    await first.kill(); // An open console is a client, and would be waited for.
    const workload = await open({ ...pair, instances: 1 });
    const before = await inspect(workload);
    const { steps, rendered } = await planFor(workload, wanted);
    await takeAll(workload, [...steps, { type: 'verify', rendered }]);
    const processes = await (await machine.pebbleOf('a')).services([], never);
    expect(pidsOf(await inspect(workload))).toEqual(pidsOf(before));
    await expect
      .poll(async () => (await (await machine.pebbleOf('a')).services(['pgbouncer_2'], never))[0]?.current)
      .toBe('inactive');
    expect(processes.map(({ name }) => name)).toEqual(['pgbouncer_1', 'pgbouncer_2']);
    await using _client = await machine.connect('a', address, port);
  });

  it("says in PgBouncer's words why an instance does not start, and does not go on trying", async () => {
    const workload = await open();
    const rendered = await renderFor(workload, { port, canary: 'gen-1' });
    const broken = rendered.instances.map(({ id, ini }) => ({
      id,
      ini: ini.replace('so_reuseport = 1', 'so_reuseport = x'),
    }));
    await takeAll(workload, [{ type: 'write', rendered: { ...rendered, instances: broken } }]);
    expect(await take(workload, { type: 'start', instances: [1] })).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(/cannot start instance 1: PgBouncer says: .*so_reuseport/),
    });
    const [service] = await (await machine.pebbleOf('a')).services(['pgbouncer_1'], never);
    expect(service?.current).toBe('inactive');
    await takeAll(workload, (await planFor(workload, { port, canary: 'gen-2' })).steps);
  });

  it('knows that it was paused, as long as it is the same process', async ({ skip }) => {
    skip(isAtLeast(machine.version, '1.19'), 'this PgBouncer tells it itself');
    const workload = await open();
    await serve(workload, { port, canary: 'gen-1' });
    await takeAll(workload, [
      { type: 'pause', instances: all },
      { type: 'stop', instances: [1] },
      { type: 'start', instances: [1] },
    ]);
    expect((await inspect(workload)).instances.map(({ paused }) => paused)).toEqual([false, true]);
  });

  it('shows a certificate to clients, shows the next one without losing a client, and keeps none that is of no use', async () => {
    let material: TlsMaterial | null = materialOf(first);
    const unit = { ...pair, options: { tls: () => material } };
    const shownAt = () => certificateAt(address, port, AbortSignal.timeout(5_000));
    const settle = async (workload: Workload) => {
      const { steps } = await planFor(workload, { port, canary: 'gen-1' });
      await takeAll(workload, steps);
      return steps.map(({ type }) => type);
    };
    await settle(await open(unit));
    expect(await shownAt()).toBe(fingerprintOf(materialOf(first)));
    const workload = await open(unit);
    expect(await settle(workload)).toEqual([]);
    const pids = pidsOf(await inspect(workload));
    await using _client = await machine.connect('a', address, port);
    material = materialOf(second);
    expect(await settle(workload)).toEqual(['prove', 'write', 'reload', 'verify']);
    expect(await shownAt()).toBe(fingerprintOf(materialOf(second)));
    expect(pidsOf(await inspect(workload))).toEqual(pids);
    expect(await (await machine.pebbleOf('a')).listFiles(fileOf('tls'), never)).toHaveLength(1);
    material = { ...materialOf(first), key: new Secret(second.key) };
    const later = await open(unit);
    expect((await inspect(later)).obstacles).toMatchObject([
      { id: 'tls', message: expect.stringContaining('no private key') },
    ]);
    expect(await settle(later)).toEqual([]);
    expect(await shownAt()).toBe(fingerprintOf(materialOf(second)));
    material = null;
    await settle(later);
    expect(await shownAt()).toBeNull();
  });

  describe('with a server behind it', () => {
    const [[, startPostgres] = []] = postgresServers();
    if (startPostgres === undefined) {
      it.skip('there is no PostgreSQL here to put behind it', () => {});
      return;
    }
    const postgres = useServer(startPostgres);

    it('holds queries back while it is paused, and loses none', async () => {
      const workload = await open();
      const { login, wanted } = await pooled(postgres(), port);
      await serve(workload, wanted);
      await using one = await connected(login);
      await one.client.query('select 1');
      await takeAll(workload, [{ type: 'pause', instances: all }]);
      let answered = false;
      const held = one.client.query('select 2 as n').then(({ rows }) => {
        answered = true;
        return rows;
      });
      await takeAll(workload, [{ type: 'reload', instances: all }]);
      expect(answered).toBe(false);
      await takeAll(workload, [{ type: 'resume', instances: all }]);
      expect(await held).toEqual([{ n: 2 }]);
    });

    it('gives up a pause that clients do not let it reach, and lets everybody go on', async () => {
      const workload = await open({ ...pair, options: { patience: { answer: 1_000, pause: 300 } } });
      const { login, wanted } = await pooled(postgres(), port);
      await serve(workload, wanted);
      await using busy = await connected(login);
      await busy.client.query('begin');
      await busy.client.query('select 1'); // Now it holds a server.
      expect(await take(workload, { type: 'pause', instances: all })).toMatchObject({
        kind: 'failed',
        reason: expect.stringMatching(/^cannot pause instance [12]: its clients did not end their transactions/),
      });
      expect((await inspect(workload)).instances.map(({ paused }) => paused)).toEqual([false, false]);
      await busy.client.query('commit');
      expect((await busy.client.query('select 2 as n')).rows).toEqual([{ n: 2 }]);
    });

    it('has connections replaced', async () => {
      const workload = await open();
      const { login, wanted } = await pooled(postgres(), port);
      await serve(workload, wanted);
      await using one = await connected(login);
      await one.client.query('select 1');
      const pooledNow = async () =>
        (await inspect(workload)).instances.flatMap(({ pools }) => (pools ?? []).map(({ open: count }) => count));
      expect((await pooledNow()).some((count) => count > 0)).toBe(true);
      await takeAll(workload, [{ type: 'reconnect', instances: all, databases: [login.database ?? ''] }]);
      await expect.poll(async () => (await pooledNow()).every((count) => count === 0)).toBe(true);
      expect((await one.client.query('select 2 as n')).rows).toEqual([{ n: 2 }]);
    });
  });
};

const materialOf = ({ key, certificate }: Pair): TlsMaterial => ({
  key: new Secret(key),
  certificate,
  authorities: authority,
});
