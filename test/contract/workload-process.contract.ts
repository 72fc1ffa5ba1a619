import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, readlink, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Rendered } from '../../src/actors/model/workload.ts';
import { type Workload, WorkloadUnavailable } from '../../src/actors/ports/workload.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { certificateAt } from '../../src/infra/instances/handshake.ts';
import { planChange } from '../../src/pgbouncer/plan.ts';
import { isAtLeast } from '../../src/pgbouncer/version.ts';
import { pgbouncerBinaries, postgresServers, testAccount, useServer } from '../support/servers.ts';
import { authority, expired, first, type Pair, second, weak } from '../support/certificates.ts';
import { writeOwned } from './pgbouncer-process.ts';
import { ProcessMachine, type UnitOfProcesses } from '../support/workload-machine.ts';
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

/** Both suites on one of the PgBouncers of this machine: its own, Debian 13's, and that of Debian's testing branch. */
export const processWorkloadContract = async (which: 0 | 1 | 2): Promise<void> => {
  const binary = (await pgbouncerBinaries())[which];
  const { version, run, reason } = binary ?? { version: '', run: null, reason: 'the tests know of no such PgBouncer' };
  if (run === null) {
    describe(`PgBouncer ${version}`, () => it.skip(reason ?? 'it cannot be had here', () => {}));
    return;
  }
  workloadContract(`PgBouncer ${version} as processes`, () => ProcessMachine.open(version, run));
  describe(`processes of PgBouncer ${version}`, () => ownMatters(version, run));
};

const ownMatters = (version: string, run: string): void => {
  let machine: ProcessMachine;
  let port: number;
  beforeEach(async () => {
    machine = await ProcessMachine.open(version, run);
    port = await machine.freePort([address]);
  });
  afterEach(async () => {
    await machine[Symbol.asyncDispose]();
  });
  const one: UnitOfProcesses = { ...pair, instances: 1 };
  const open = async (unit: UnitOfProcesses = pair) => (await machine.open(unit)).workload;
  /** On the console of a unit's first instance, as a person with its account. */
  const consoleOf = async (unit: string, command: string): Promise<void> => {
    const login = [
      '-h',
      join(machine.stateDir(unit), 'run', '1'),
      '-p',
      String(port),
      '-U',
      'pgbouncer',
      '-d',
      'pgbouncer',
    ];
    await promisify(execFile)('psql', ['-XAtq', ...login, '-c', command], {
      cwd: '/',
      env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' },
      ...spawnIds(testAccount()),
    });
  };
  const fileOf = (...path: readonly string[]): string => join(machine.stateDir('a'), ...path);

  it('inherits nothing of its coordinator, and lives in a session of its own', async () => {
    const marker = 'PLANTED-5f1d';
    const environment = {
      PATH: '/usr/bin:/bin',
      TROUPE_X: marker,
      LISTEN_FDS: '1',
      NOTIFY_SOCKET: `/${marker}`,
      PGOPTIONS: `-c a.b=${marker}`,
    };
    const coordinator = await machine.open({ ...one, environment });
    await serve(coordinator.workload, { port, canary: 'gen-1' });
    const [pid = 0] = pidsOf(await inspect(coordinator.workload));
    const [environ, argv, status] = await Promise.all(
      ['environ', 'cmdline', 'stat'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8')),
    );
    expect(
      environ
        ?.split('\0')
        .map((entry) => entry.split('=')[0])
        .filter(Boolean),
    ).toEqual(['PATH', 'LANG']);
    expect(argv).toBe(`${run}\0${fileOf('instances', '1', 'pgbouncer.ini')}\0`);
    const session = Number(status?.slice(status.lastIndexOf(')') + 2).split(' ')[3]);
    expect(session).toBe(pid);
    const log = fileOf('instances', '1', 'pgbouncer.log');
    expect(await Promise.all([0, 1, 2].map((fd) => readlink(`/proc/${pid}/fd/${fd}`)))).toEqual([
      '/dev/null',
      log,
      log,
    ]);
  });

  it('keeps every file to its account', async () => {
    const workload = await open();
    await serve(workload, { port, canary: 'gen-1' });
    const modeOf = async (...path: readonly string[]): Promise<string> =>
      ((await stat(fileOf(...path))).mode & 0o777).toString(8);
    const modes = {
      'userlist.txt': '400',
      'probe.json': '600',
      instances: '700',
      'instances/1': '700',
      'instances/1/pgbouncer.ini': '400',
      'instances/1/pgbouncer.log': '600',
      'instances/1/process.json': '600',
      'run/1': '700',
      proving: '700',
    };
    const found = Object.keys(modes).map(async (path) => [path, await modeOf(path)] as const);
    expect(Object.fromEntries(await Promise.all(found))).toEqual(modes);
  });

  it('has the same auth file after a restart, because its probe keeps its password', async () => {
    const first = await machine.open(one);
    const before = await serve(first.workload, { port, canary: 'gen-1' });
    await first.kill();
    const after = await renderFor(await open(one), { port, canary: 'gen-1' });
    expect(after.authFile.reveal()).toBe(before.authFile.reveal());
  });

  it('rotates a log that has grown, while its process goes on writing to it', async () => {
    const workload = await open({ ...one, options: { logLimitBytes: 1_500 } });
    await serve(workload, { port, canary: 'gen-1' });
    const log = fileOf('instances', '1', 'pgbouncer.log');
    while ((await stat(log)).size <= 1_500) await takeAll(workload, [{ type: 'reload', instances: [1] }]);
    const old = await readFile(log, 'utf8');
    const { instances } = await inspect(workload);
    expect(await readFile(`${log}.1`, 'utf8')).toContain(old);
    expect(await readFile(log, 'utf8')).not.toContain('process up');
    await takeAll(workload, [{ type: 'reload', instances: [1] }]);
    expect(await readFile(log, 'utf8')).toMatch(/^\d{4}-.*RELOAD command issued\n$/m);
    expect((await inspect(workload)).instances).toEqual(instances);
  });

  it('says that the program is missing, and finds it once it is there', async () => {
    const program = join(machine.stateDir('b'), 'pgbouncer');
    const workload = await open({ ...one, options: { binary: program } });
    const rendered = await renderFor(await open({ ...one, name: 'b' }), { port, canary: 'gen-1' });
    const missing = expect.stringContaining(`"${program}"`);
    expect((await inspect(workload)).binary).toEqual({ kind: 'missing', reason: missing });
    expect(await take(workload, { type: 'prove', rendered })).toMatchObject({ kind: 'failed', reason: missing });
    await symlink(run, program);
    expect((await inspect(workload)).binary).toEqual({ kind: 'found', version: machine.version });
    await takeAll(workload, [{ type: 'prove', rendered }]);
  });

  it('says that a program is no PgBouncer', async () => {
    expect((await inspect(await open({ ...one, options: { binary: '/bin/echo' } }))).binary).toEqual({
      kind: 'missing',
      reason: expect.stringContaining('is no PgBouncer'),
    });
  });

  it('refuses a directory whose sockets PgBouncer would name otherwise', async () => {
    const runDir = `/tmp/${'long/'.repeat(20)}`;
    await expect(open({ ...one, options: { runDir } })).rejects.toThrow(/choose a shorter/);
    await expect(open({ ...one, options: { runDir } })).rejects.toThrow(WorkloadUnavailable);
    expect(existsSync(runDir)).toBe(false);
  });

  it('says that a state directory cannot be used', async () => {
    const stateDir = join(machine.stateDir('file'));
    await writeFile(stateDir, '');
    await expect(open({ ...one, options: { stateDir } })).rejects.toThrow(/cannot use the state directory .*file/);
  });

  it.each([
    ['missing', (file: string) => rm(file)],
    ['cut short', (file: string) => truncate(file, 100)],
    ['changed', async (file: string) => writeFile(file, (await readFile(file, 'utf8')).replace('"port":', '"port":1'))],
  ])('finds a process whose record is %s, rather than start a second one', async (_, damage) => {
    const first = await machine.open(pair);
    await serve(first.workload, { port, canary: 'gen-1' });
    const pids = pidsOf(await inspect(first.workload));
    await first.kill();
    await damage(fileOf('instances', '1', 'process.json'));
    const workload = await open();
    await takeAll(workload, [{ type: 'start', instances: all }]);
    expect(pidsOf(await inspect(workload))).toEqual(pids);
  });

  it('does not take a process for its own that got the id of one', async () => {
    const first = await machine.open(one);
    await serve(first.workload, { port, canary: 'gen-1' });
    const [pid = 0] = pidsOf(await inspect(first.workload));
    await first.kill();
    machine.signal(pid, 'SIGKILL');
    await expect.poll(() => machine.isAlive(pid)).toBe(false);
    const record = fileOf('instances', '1', 'process.json');
    const kept = JSON.parse(await readFile(record, 'utf8'));
    await writeFile(record, JSON.stringify({ ...kept, digest: undefined, mark: { ...kept.mark, pid: process.pid } }));
    const workload = await open(one);
    expect((await inspect(workload)).instances).toMatchObject([{ state: 'absent' }]);
    await takeAll(workload, [
      { type: 'stop', instances: [1] },
      { type: 'start', instances: [1] },
    ]);
  });

  it('notices when it cannot bind its address', async () => {
    const workload = await open({ ...one, listenAddress: '203.0.113.1' });
    const rendered = await renderFor(workload, { port, canary: 'gen-1' });
    await takeAll(workload, [
      { type: 'prove', rendered },
      { type: 'write', rendered },
    ]);
    expect(await take(workload, { type: 'start', instances: [1] })).toEqual({
      kind: 'failed',
      reason: expect.stringMatching(/^cannot start instance 1: this machine has no address 203\.0\.113\.1$/),
      obstacle: 'listen-address',
    });
    expect((await inspect(workload)).instances).toMatchObject([{ state: 'absent' }]);
  });

  it.each(['PAUSE', 'DISABLE', 'KILL'])(
    'tells that somebody ordered %s of a database, and lets it go on',
    async (order) => {
      const workload = await open(one);
      const orders = {
        name: 'orders',
        database: 'orders',
        backend: 'main',
        host: '127.0.0.1',
        port: 1,
        maxConnections: 4,
        readOnly: false,
      };
      await serve(workload, { port, canary: 'gen-1', databases: [orders] });
      await consoleOf('a', `${order} orders`);
      expect((await inspect(workload)).instances).toMatchObject([{ halted: ['orders'] }]);
      await takeAll(workload, [{ type: 'resume', instances: [1] }]);
      expect((await inspect(workload)).instances).toMatchObject([{ halted: [] }]);
    },
  );

  it('sees that the socket of its console was removed, and has it again by a restart', async () => {
    const workload = await open(one);
    const rendered = await serve(workload, { port, canary: 'gen-1' });
    const before = pidsOf(await inspect(workload));
    await rm(fileOf('run', '1'), { recursive: true });
    const found = await inspect(workload);
    expect(found.instances).toMatchObject([{ state: 'running', unlinked: true, pid: before[0] }]);
    const steps = planChange(found, rendered);
    expect(steps.map(({ type }) => type)).toEqual(['stop', 'start', 'verify']);
    await takeAll(workload, steps);
    expect((await inspect(workload)).instances).toMatchObject([{ state: 'running', unlinked: false }]);
  });

  it('replaces a process of its own that it can no longer reach, and starts no second one beside it', async () => {
    const first = await machine.open(one);
    const rendered = await serve(first.workload, { port, canary: 'gen-1' });
    const [lost = 0] = pidsOf(await inspect(first.workload));
    await first.kill();
    await rm(fileOf('instances', '1', 'process.json'));
    await rm(fileOf('run', '1'), { recursive: true });
    const workload = await open(one);
    expect(await take(workload, { type: 'start', instances: [1] })).toMatchObject({ kind: 'failed' });
    const found = await inspect(workload);
    expect(found.instances).toMatchObject([{ state: 'hung', pid: lost }]);
    await takeAll(workload, planChange(found, rendered));
    expect(machine.isAlive(lost)).toBe(false);
  });

  it('finds what stands in its way by looking, and no longer when it has gone', async () => {
    const workload = await open(one);
    await serve(workload, { port, canary: 'gen-1' });
    expect((await inspect(workload)).obstacles).toEqual([]);
    await using stranger = await machine.occupy(address, port);
    expect((await inspect(workload)).obstacles).toMatchObject([
      { id: 'address', message: expect.stringMatching(/is held by .*; a part of the clients reaches that/) },
    ]);
    await stranger[Symbol.asyncDispose]();
    await chmod(fileOf(), 0o500);
    expect((await inspect(workload)).obstacles).toMatchObject([{ id: 'files' }]);
    await chmod(fileOf(), 0o700);
    expect((await inspect(workload)).obstacles).toEqual([]);
  });

  it('does not leave its port for one that somebody else has', async () => {
    const workload = await open(one);
    await serve(workload, { port, canary: 'gen-1' });
    const other = await machine.freePort([address]);
    await using _stranger = await machine.occupy(address, other);
    const rendered = await renderFor(workload, { port: other, canary: 'gen-2' });
    expect(await take(workload, { type: 'prove', rendered })).toMatchObject({ kind: 'failed', obstacle: 'address' });
  });

  it('gives its processes all the descriptors that it may have', async () => {
    const workload = await open(one);
    await serve(workload, { port, canary: 'gen-1' });
    const { instances } = await inspect(workload);
    const limits = await readFile(`/proc/${instances[0]?.pid}/limits`, 'utf8');
    const [, soft, hard] = /^Max open files\s+(\d+)\s+(\d+)/m.exec(limits) ?? [];
    expect(soft).toBe(hard);
    expect(instances).toMatchObject([{ descriptors: Number(hard) }]);
  });

  it.each(['pgbouncer.ini', 'process.json', 'pgbouncer.log'])(
    'goes on where a directory lies in the place of its %s, or says so',
    async (file) => {
      const first = await machine.open(one);
      const rendered = await serve(first.workload, { port, canary: 'gen-1' });
      const pids = pidsOf(await inspect(first.workload));
      await first.kill();
      await rm(fileOf('instances', '1', file));
      await mkdir(fileOf('instances', '1', file, 'in-the-way'), { recursive: true });
      const workload = await open(one);
      const found = await inspect(workload);
      const [step] = planChange(found, rendered).filter(({ type }) => type === 'write');
      if (step === undefined) {
        await takeAll(workload, [...planChange(found, rendered), { type: 'verify', rendered }]);
        expect(pidsOf(await inspect(workload))).toEqual(pids);
        return;
      }
      expect(await take(workload, step)).toMatchObject({
        kind: 'failed',
        obstacle: 'files',
        reason: expect.stringMatching(/something else lies in the way at ".*pgbouncer\.ini": remove it/),
      });
    },
  );

  it.each(['localhost', '*'])('listens on %s, and proves it', async (listenAddress) => {
    const at = await machine.freePort(['127.0.0.1', '::1']);
    const workload = await open({ ...pair, listenAddress });
    await serve(workload, { port: at, canary: 'gen-1' });
    await using _client = await machine.connect('a', '127.0.0.1', at);
    await takeAll(workload, [{ type: 'stop', instances: all }]);
    await using _stranger = await machine.occupy('127.0.0.1', at);
    expect(await take(workload, { type: 'start', instances: all })).toMatchObject({
      kind: 'failed',
      reason: expect.stringMatching(/127\.0\.0\.1:\d+ is held by/),
    });
  });

  it('lets instances beyond the configured number go once the others are proven', async () => {
    const first = await machine.open(pair);
    await serve(first.workload, { port, canary: 'gen-1' });
    const [kept = 0, surplus = 0] = pidsOf(await inspect(first.workload));
    await first.kill();
    const workload = await open(one);
    expect((await inspect(workload)).instances).toMatchObject([{ pid: kept }]);
    expect(machine.isAlive(surplus)).toBe(true);
    const rendered = await renderFor(workload, { port, canary: 'gen-1' });
    await takeAll(workload, [...planChange(await inspect(workload), rendered), { type: 'verify', rendered }]);
    await expect.poll(() => machine.isAlive(surplus)).toBe(false);
    expect(machine.isAlive(kept)).toBe(true);
  });

  it('stops with the unit what is beyond the configured number and has clients yet', async () => {
    const first = await machine.open(pair);
    await serve(first.workload, { port, canary: 'gen-1' });
    const [, surplus = 0] = pidsOf(await inspect(first.workload));
    await using clients = new AsyncDisposableStack();
    const isThere = async () =>
      (await first.workload.show(2, 'clients', never))?.some(({ user }) => user === 'troupe_probe');
    while ((await isThere()) !== true) clients.use(await machine.connect('a', address, port));
    await first.kill();
    const workload = await open(one);
    await takeAll(workload, planChange(await inspect(workload), await renderFor(workload, { port, canary: 'gen-2' })));
    if (isAtLeast(machine.version, '1.23')) expect(machine.isAlive(surplus)).toBe(true);
    await takeAll(workload, [{ type: 'stop', instances: [1] }]);
    expect(machine.isAlive(surplus)).toBe(false);
  });

  describe('with a server behind them', () => {
    const [[, startPostgres] = []] = postgresServers();
    if (startPostgres === undefined) {
      it.skip('there is no PostgreSQL here to put behind them', () => {});
      return;
    }
    const postgres = useServer(startPostgres);

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

    it('counts pooled connections of databases and logins, and replaces them as they become free, for clients unseen', async () => {
      const workload = await open(one);
      const { login, wanted } = await pooled(postgres(), port);
      const [entry, user] = [wanted.databases?.[0], wanted.users?.[0]];
      if (entry === undefined || user === undefined) throw new Error('there is no database to limit');
      await serve(workload, {
        ...wanted,
        databases: [{ ...entry, maxConnections: 6 }],
        users: [{ ...user, maxConnections: 5 }],
      });
      const [busy, idle] = [await connected(login), await connected(login)];
      await using _busy = busy;
      await using _idle = idle;
      for (const { client } of [busy, idle]) {
        await client.query('begin');
        await client.query('select 1');
      }
      await idle.client.query('commit');
      const counted = async () => (await inspect(workload)).instances[0]?.pools;
      const databases = [entry.name];
      expect(await counted()).toEqual([
        { of: 'database', name: entry.name, limit: 6, open: 2, databases },
        { of: 'login', name: user.name, limit: null, open: 2, databases },
      ]);
      await takeAll(workload, [{ type: 'reconnect', instances: [1], databases }]);
      await expect.poll(async () => (await counted())?.map(({ open: connections }) => connections)).toEqual([1, 1]);
      expect((await busy.client.query('select 2 as n')).rows).toEqual([{ n: 2 }]);
      await busy.client.query('commit');
      await expect.poll(async () => (await counted())?.map(({ open: connections }) => connections)).toEqual([0]);
      for (const { client } of [busy, idle]) expect((await client.query('select 3 as n')).rows).toEqual([{ n: 3 }]);
    });

    it('serves on when a pause is cancelled', async () => {
      const workload = await open();
      const { login, wanted } = await pooled(postgres(), port);
      await serve(workload, wanted);
      await using busy = await connected(login);
      await busy.client.query('begin');
      await busy.client.query('select 1');
      const cancel = new AbortController();
      const pausing = workload.take({ type: 'pause', instances: all }, cancel.signal);
      await expect.poll(async () => (await inspect(workload)).instances.some(({ paused }) => paused)).toBe(true);
      cancel.abort();
      await expect(pausing).rejects.toThrow(WorkloadUnavailable);
      expect((await inspect(workload)).instances.map(({ paused }) => paused)).toEqual([false, false]);
    });
  });

  it('sees that somebody else has told an instance to drain, and does not keep it alive', async ({ skip }) => {
    skip(!isAtLeast(machine.version, '1.23'), 'before 1.23 PgBouncer cannot drain');
    const workload = await open(one);
    const rendered = await serve(workload, { port, canary: 'gen-1' });
    const [pid = 0] = pidsOf(await inspect(workload));
    machine.signal(pid, 'SIGTERM');
    await expect.poll(async () => (await inspect(workload)).instances).toMatchObject([{ state: 'hung', pid }]);
    await takeAll(workload, [
      { type: 'stop', instances: [1] },
      { type: 'start', instances: [1] },
      { type: 'verify', rendered },
    ]);
  });

  describe('with a certificate for clients', () => {
    const inFiles = async (pair: Pair, authorities = authority): Promise<UnitOfProcesses> => {
      const directory = fileOf('..', 'operator');
      await mkdir(directory, { recursive: true });
      const write = async (name: string, text: string): Promise<string> => {
        const path = join(directory, name);
        await writeOwned(path, text);
        return path;
      };
      const tls = {
        certificate: await write('tls.crt', pair.certificate),
        key: await write('tls.key', pair.key),
        authorities: await write('ca.crt', authorities),
      };
      return { ...here, options: { tls } };
    };
    const here = { ...pair, listenAddress: '127.0.0.1' };
    const settled = async (workload: Workload): Promise<Rendered> => {
      const rendered = await renderFor(workload, { port, canary: 'gen-1' });
      await takeAll(workload, planChange(await inspect(workload), rendered));
      return rendered;
    };
    const shownAt = () => certificateAt('127.0.0.1', port, AbortSignal.timeout(5_000));
    const printOf = ({ certificate }: Pair) => new X509Certificate(certificate).fingerprint256;
    const troublesIn = async (workload: Workload) =>
      (await inspect(workload)).obstacles.filter(({ id }) => id === 'tls').map(({ message }) => message);
    const probed = async (): Promise<Client> => {
      const { username, password } = await machine.probeOf('a');
      const login = { user: username, password: password.reveal(), database: 'pgbouncer' };
      const ssl = { ca: authority, servername: 'localhost' };
      const client = new Client({ host: '127.0.0.1', port, ...login, ssl, connectionTimeoutMillis: 5_000 });
      await client.connect();
      return client;
    };

    it('shows it, shows the next one without losing a client, and keeps no file of the one before', async () => {
      const workload = await open(await inFiles(first));
      const rendered = await settled(workload);
      const before = pidsOf(await inspect(workload));
      expect(await shownAt()).toBe(printOf(first));
      const client = await probed();
      await inFiles(second);
      await settled(workload);
      expect(await shownAt()).toBe(printOf(second));
      expect((await client.query('SHOW VERSION')).rows).toHaveLength(1);
      await client.end();
      await (await probed()).end();
      expect(pidsOf(await inspect(workload))).toEqual(before);
      const kept = await readdir(fileOf('tls'));
      expect(kept).toHaveLength(1);
      expect(rendered.tls?.directory).not.toBe(fileOf('tls', kept[0] ?? ''));
      for (const name of ['key.pem', 'certificate.pem', 'authorities.pem'])
        expect((await stat(fileOf('tls', kept[0] ?? '', name))).mode & 0o777).toBe(0o400);
    });

    it('keeps it while what lies there is of no use, also after a restart, and takes what is right', async () => {
      const coordinator = await machine.open(await inFiles(first));
      await settled(coordinator.workload);
      const unit = await inFiles({ ...second, key: first.key });
      expect(await troublesIn(coordinator.workload)).toEqual([]);
      const sentence = [expect.stringMatching(/tls\.key: it is no private key .* that belongs to .*tls\.crt$/)];
      expect(await troublesIn(coordinator.workload)).toEqual(sentence);
      await coordinator.kill();
      const workload = await open(unit);
      await settled(workload);
      expect(await troublesIn(workload)).toEqual(sentence);
      expect(await shownAt()).toBe(printOf(first));
      await inFiles(second);
      expect(await troublesIn(workload)).toEqual([]);
      await settled(workload);
      expect(await shownAt()).toBe(printOf(second));
    });

    it('says what PgBouncer has against one that looks well', async () => {
      const workload = await open(await inFiles(weak, weak.certificate));
      expect(await troublesIn(workload)).toEqual([
        expect.stringMatching(/tls\.crt: PgBouncer says: .*TLS setup failed/),
      ]);
      await settled(workload);
      expect(await shownAt()).toBeNull();
    });

    it('says that it has ended', async () => {
      const workload = await open(await inFiles(expired));
      await settled(workload);
      expect(await troublesIn(workload)).toEqual([
        'the certificate has ended on 2021-01-01T00:00:00.000Z: clients that look at it are not let in',
      ]);
    });

    it('serves without as soon as it is to have none', async () => {
      const coordinator = await machine.open(await inFiles(first));
      await settled(coordinator.workload);
      await coordinator.kill();
      const workload = await open(here);
      await settled(workload);
      expect(await shownAt()).toBeNull();
      expect(await readdir(fileOf('tls'))).toEqual([]);
    });

    it('notices when PgBouncer has not loaded it', async () => {
      const workload = await open(await inFiles(first));
      const rendered = await settled(workload);
      await inFiles(second);
      const next = await renderFor(workload, { port, canary: 'gen-1' });
      await takeAll(workload, [
        { type: 'write', rendered: next },
        { type: 'reload', instances: all },
      ]);
      // SHOW CONFIG is that of the next one, and so is what is shown: to have been promised the first one is found out.
      const outcome = await take(workload, { type: 'verify', rendered: { ...next, tls: rendered.tls ?? null } });
      expect(outcome).toMatchObject({
        kind: 'failed',
        reason: expect.stringContaining('another certificate is shown'),
      });
    });
  });

  it('does not take its own sleep for the silence of an instance', async () => {
    const coordinator = await machine.open(one);
    const { workload } = coordinator;
    await serve(workload, { port, canary: 'gen-1' });
    const before = await inspect(workload);
    const [pid = 0] = pidsOf(before);
    machine.signal(pid, 'SIGSTOP');
    const inspection = inspect(workload);
    await coordinator.cpuMicros(); // Answered after the question before it was passed on to the console.
    machine.signal(coordinator.pid, 'SIGSTOP');
    machine.signal(pid, 'SIGCONT');
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // Longer than an answer may take: the sleep is what is tested.
    machine.signal(coordinator.pid, 'SIGCONT');
    expect(await inspection).toEqual(before);
  });

  it('keeps one console connection for all its inspections', async () => {
    const coordinator = await machine.open(pair);
    await serve(coordinator.workload, { port, canary: 'gen-1' });
    await inspect(coordinator.workload);
    const clients = await coordinator.workload.show(1, 'clients', never);
    for (let i = 0; i < 5; i += 1) await inspect(coordinator.workload);
    expect(await coordinator.workload.show(1, 'clients', never)).toHaveLength(clients?.length ?? 0);
  });
};
