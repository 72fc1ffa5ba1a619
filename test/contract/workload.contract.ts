import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Inspection, PgBouncerVersion, Rendered, Step, StepOutcome } from '../../src/actors/model/workload.ts';
import { type Workload, WorkloadUnavailable } from '../../src/actors/ports/workload.ts';
import { planChange } from '../../src/pgbouncer/plan.ts';
import { isAtLeast } from '../../src/pgbouncer/version.ts';
import { type Wanted, renderedFor } from './workload-rendering.ts';

/** What workloads run on: it outlives the coordinators that open them, and lets a test do what the world does. */
export interface Machine extends AsyncDisposable {
  readonly version: PgBouncerVersion;
  /** Why the platform does not tell at once that an instance has ended; absent where it does. */
  readonly silentExits?: string;
  /** A coordinator of the unit of this name; the next one with the same name finds what the first one left. */
  open(unit: UnitOnMachine): Promise<Coordinator>;
  freePort(addresses: readonly string[]): Promise<number>;
  signal(pid: number, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void;
  isAlive(pid: number): boolean;
  /** Somebody who is none of ours listens there. */
  occupy(address: string, port: number): Promise<AsyncDisposable>;
  /** A client that stays connected, as the unit's probe. Rejects when nobody takes it. */
  connect(unit: string, address: string, port: number): Promise<AsyncDisposable>;
}
export interface UnitOnMachine {
  readonly name: string;
  readonly listenAddress: string;
  readonly instances: number;
}
export interface Coordinator {
  readonly workload: Workload;
  /** With -9. */
  kill(): Promise<void>;
}

export const never = new AbortController().signal;
export const address = '127.0.0.11';
export const pair: UnitOnMachine = { name: 'a', listenAddress: address, instances: 2 };
export const all = [1, 2];

/** What every workload does, whatever it runs on. */
export const workloadContract = (name: string, openMachine: () => Promise<Machine>): void => {
  describe(name, () => {
    let machine: Machine;
    let port: number;
    beforeEach(async () => {
      machine = await openMachine();
      port = await machine.freePort([address, '127.0.0.12']);
    });
    afterEach(async () => {
      await machine[Symbol.asyncDispose]();
    });
    const open = async (unit = pair): Promise<Workload> => (await machine.open(unit)).workload;

    it('finds the program, and nothing else, in a unit that never ran', async () => {
      const { binary, layout, disk, instances } = await inspect(await open());
      expect(binary).toEqual({ kind: 'found', version: machine.version });
      expect(layout.listenAddress).toBe(address);
      expect(layout.instances.map(({ id }) => id)).toEqual(all);
      expect(new Set(layout.instances.map(({ socketDir }) => socketDir)).size).toBe(2);
      expect(disk).toMatchObject({ authFile: null, instances: all.map((id) => ({ id, ini: null })) });
      expect(instances.map(({ state }) => state)).toEqual(['absent', 'absent']);
    });

    it('serves what was rendered, and says so', async () => {
      const workload = await open();
      const rendered = await serve(workload, { port, canary: 'gen-1' });
      const { disk, instances } = await inspect(workload);
      expect(disk.authFile?.reveal()).toBe(rendered.authFile.reveal());
      expect(disk.instances).toEqual(rendered.instances);
      expect(instances).toMatchObject(
        all.map((id) => ({ id, state: 'running', canary: 'gen-1', paused: false, version: machine.version })),
      );
      expect(instances.map(({ settings }) => settings?.['listen_port'])).toEqual([String(port), String(port)]);
      expect(instances.every(({ pid }) => pid !== null && machine.isAlive(pid))).toBe(true);
      await using _client = await machine.connect('a', address, port);
    });

    it('does nothing when a step is repeated', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const before = await inspect(workload);
      await serve(workload, { port, canary: 'gen-1' });
      expect(await inspect(workload)).toEqual(before);
    });

    it('adopts what a killed coordinator left, without touching it', async () => {
      const first = await machine.open(pair);
      const rendered = await serve(first.workload, { port, canary: 'gen-1' });
      const before = await inspect(first.workload);
      await first.kill();
      const second = await open();
      expect(await inspect(second)).toEqual(before);
      expect(await take(second, { type: 'verify', rendered })).toEqual(done);
      expect(await take(second, { type: 'start', instances: all })).toEqual(done);
      expect(pidsOf(await inspect(second))).toEqual(pidsOf(before));
    });

    it('leaves its processes running when it is disposed', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const pids = pidsOf(await inspect(workload));
      await workload[Symbol.asyncDispose]();
      expect(pids.every((pid) => machine.isAlive(pid))).toBe(true);
      expect(pidsOf(await inspect(await open()))).toEqual(pids);
    });

    it('loads a changed option by write and reload, in the same processes', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const before = pidsOf(await inspect(workload));
      const next = await renderFor(workload, { port, canary: 'gen-2', options: { pool_mode: 'transaction' } });
      await takeAll(workload, [
        { type: 'prove', rendered: next },
        { type: 'write', rendered: next },
      ]);
      expect(await take(workload, { type: 'verify', rendered: next })).toMatchObject({
        kind: 'refused',
        reason: expect.stringMatching(/instance 1 .*pool_mode|syslog_ident/),
      });
      await takeAll(workload, [
        { type: 'reload', instances: all },
        { type: 'verify', rendered: next },
      ]);
      const { instances } = await inspect(workload);
      expect(instances.map(({ canary }) => canary)).toEqual(['gen-2', 'gen-2']);
      expect(instances.map(({ pid }) => pid)).toEqual(before);
    });

    it('does not take a reload of one instance for a reload of all', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const next = await renderFor(workload, { port, canary: 'gen-2' });
      await takeAll(workload, [
        { type: 'write', rendered: next },
        { type: 'reload', instances: [2] },
      ]);
      const outcome = await take(workload, { type: 'verify', rendered: next });
      expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringContaining('instance 1') });
      expect(outcome).not.toMatchObject({ reason: expect.stringContaining('instance 2') });
    });

    it.each([
      ['an unknown key', (ini: string) => ini.replace('[pgbouncer]', '[pgbouncer]\nno_such_key = 1'), /no_such_key/],
      [
        'a value of the wrong kind',
        (ini: string) => ini.replace(/so_reuseport = 1/, 'so_reuseport = yes'),
        /so_reuseport/,
      ],
      [
        'a line that is none',
        (ini: string) => ini.replace('[pgbouncer]', '[pgbouncer]\nwhat is this'),
        /syntax|configuration/,
      ],
    ])('refuses %s in a proof, and touches nothing', async (_, breaking, words) => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const before = await inspect(workload);
      const next = await renderFor(workload, { port, canary: 'gen-2' });
      const broken = {
        ...next,
        instances: next.instances.map(({ id, ini }) => ({ id, ini: id === 2 ? breaking(ini) : ini })),
      };
      expect(broken.instances[1]?.ini).not.toBe(next.instances[1]?.ini);
      const outcome = await take(workload, { type: 'prove', rendered: broken });
      expect(outcome).toMatchObject({ kind: 'refused', reason: expect.stringMatching(words) });
      expect(await inspect(workload)).toEqual(before);
    });

    it('tells at once which instance has ended', async ({ skip }) => {
      skip(machine.silentExits !== undefined, machine.silentExits);
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const [, second = 0] = pidsOf(await inspect(workload));
      const exited = Promise.withResolvers<number>();
      using _listening = workload.onExit(exited.resolve);
      machine.signal(second, 'SIGKILL');
      expect(await exited.promise).toBe(2);
    });

    it('finds which instance has ended, and starts that one again', async () => {
      const workload = await open();
      const rendered = await serve(workload, { port, canary: 'gen-1' });
      const [first = 0, second = 0] = pidsOf(await inspect(workload));
      machine.signal(second, 'SIGKILL');
      await expect.poll(() => machine.isAlive(second)).toBe(false);
      expect((await inspect(workload)).instances).toMatchObject([
        { state: 'running', pid: first },
        { state: 'absent', pid: null, canary: null },
      ]);
      expect(await take(workload, { type: 'verify', rendered })).toMatchObject({
        kind: 'failed',
        reason: expect.stringContaining('instance 2'),
      });
      await takeAll(workload, [
        { type: 'start', instances: [2] },
        { type: 'verify', rendered },
      ]);
      const after = pidsOf(await inspect(workload));
      expect(after[0]).toBe(first);
      expect(after[1]).not.toBe(second);
    });

    it('finds an adopted instance that has ended', async () => {
      const first = await machine.open(pair);
      await serve(first.workload, { port, canary: 'gen-1' });
      const [pid = 0] = pidsOf(await inspect(first.workload));
      await first.kill();
      const workload = await open();
      await inspect(workload);
      machine.signal(pid, 'SIGKILL');
      await expect
        .poll(async () => (await inspect(workload)).instances[0])
        .toMatchObject({ state: 'absent', pid: null });
      expect((await inspect(workload)).instances[1]).toMatchObject({ state: 'running' });
    });

    it('tells a frozen instance from one that is gone, and replaces it', async () => {
      const workload = await open();
      const rendered = await serve(workload, { port, canary: 'gen-1' });
      const [pid = 0] = pidsOf(await inspect(workload));
      machine.signal(pid, 'SIGSTOP');
      expect((await inspect(workload)).instances).toMatchObject([
        { state: 'hung', pid, canary: null },
        { state: 'running' },
      ]);
      expect(await workload.show(1, 'clients', never)).toBeNull();
      await takeAll(workload, [
        { type: 'stop', instances: [1] },
        { type: 'start', instances: [1] },
        { type: 'verify', rendered },
      ]);
      expect(machine.isAlive(pid)).toBe(false);
    });

    it('goes on with an instance that was frozen for a while', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const before = await inspect(workload);
      const [pid = 0] = pidsOf(before);
      machine.signal(pid, 'SIGSTOP');
      expect((await inspect(workload)).instances[0]).toMatchObject({ state: 'hung' });
      machine.signal(pid, 'SIGCONT');
      expect(await inspect(workload)).toEqual(before);
    });

    it('does not start beside a stranger who holds its address', async () => {
      const workload = await open();
      const rendered = await renderFor(workload, { port, canary: 'gen-1' });
      await take(workload, { type: 'write', rendered });
      await using stranger = await machine.occupy(address, port);
      const outcome = await take(workload, { type: 'start', instances: all });
      expect(outcome).toMatchObject({
        kind: 'failed',
        reason: expect.stringMatching(new RegExp(`${address}:${port} is held by`)),
      });
      expect((await inspect(workload)).instances.map(({ state }) => state)).toEqual(['absent', 'absent']);
      await stranger[Symbol.asyncDispose]();
      await takeAll(workload, [
        { type: 'start', instances: all },
        { type: 'verify', rendered },
      ]);
    });

    it('does not mind another unit at another address with the same port', async () => {
      const [a, b] = [await open(), await open({ name: 'b', listenAddress: '127.0.0.12', instances: 2 })];
      await Promise.all([serve(a, { port, canary: 'a-1' }), serve(b, { port, canary: 'b-1' })]);
      expect((await inspect(a)).instances.map(({ canary }) => canary)).toEqual(['a-1', 'a-1']);
      await takeAll(b, [{ type: 'stop', instances: all }]);
      expect((await inspect(a)).instances.map(({ state }) => state)).toEqual(['running', 'running']);
    });

    it('moves to another port by stop and start only', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const other = await machine.freePort([address]);
      const next = await renderFor(workload, { port: other, canary: 'gen-2' });
      await takeAll(workload, [
        { type: 'write', rendered: next },
        { type: 'reload', instances: all },
      ]);
      expect(await take(workload, { type: 'verify', rendered: next })).not.toEqual(done);
      await takeAll(workload, [
        { type: 'stop', instances: all },
        { type: 'start', instances: all },
        { type: 'verify', rendered: next },
      ]);
      await using _client = await machine.connect('a', address, other);
      await expect(machine.connect('a', address, port)).rejects.toThrow();
    });

    it('tells who is connected, by name, also when it drains, and nobody of its own', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      expect(await workload.connected(never)).toEqual([]);
      await using _client = await machine.connect('a', address, port);
      const [client, ...others] = await workload.connected(never);
      expect([client, ...others]).toMatchObject([{ user: 'troupe_probe', database: 'pgbouncer' }]);
      await takeAll(workload, [{ type: 'drain', instances: all }]);
      expect(await workload.connected(never)).toEqual([client]);
    });

    it('drains: the one who is there may stay, nobody else comes, and it ends with the last', async ({ skip }) => {
      skip(!isAtLeast(machine.version, '1.23'), 'before 1.23 PgBouncer cannot drain');
      const one = { ...pair, instances: 1 };
      const workload = await open(one);
      const rendered = await serve(workload, { port, canary: 'gen-1' });
      const [pid = 0] = pidsOf(await inspect(workload));
      const exited = Promise.withResolvers<number>();
      using _listening = workload.onExit(exited.resolve);
      const client = await machine.connect('a', address, port);
      expect(await take(workload, { type: 'drain', instances: [1] })).toEqual(done);
      expect(await take(workload, { type: 'drain', instances: [1] })).toEqual(done);
      await expect(machine.connect('a', address, port)).rejects.toThrow();
      expect((await inspect(workload)).instances).toMatchObject([{ state: 'running', pid }]);
      expect(await take(workload, { type: 'verify', rendered })).toMatchObject({
        kind: 'failed',
        reason: expect.stringContaining(`does not listen on ${address}:${port}`),
      });
      expect(machine.isAlive(pid)).toBe(true);
      expect(await workload.connected(never)).toMatchObject([{ instance: 1 }]);
      await client[Symbol.asyncDispose]();
      if (machine.silentExits === undefined) expect(await exited.promise).toBe(1);
      await expect.poll(() => machine.isAlive(pid)).toBe(false);
      expect((await inspect(workload)).instances).toMatchObject([{ state: 'absent' }]);
    });

    it('goes on with a drain that a killed coordinator began, and cuts nobody', async ({ skip }) => {
      skip(!isAtLeast(machine.version, '1.23'), 'before 1.23 PgBouncer cannot drain');
      const one = { ...pair, instances: 1 };
      const first = await machine.open(one);
      await serve(first.workload, { port, canary: 'gen-1' });
      const [pid = 0] = pidsOf(await inspect(first.workload));
      const client = await machine.connect('a', address, port);
      await takeAll(first.workload, [{ type: 'drain', instances: [1] }]);
      await first.kill();
      const second = await open(one);
      await takeAll(second, [{ type: 'drain', instances: [1] }]);
      expect(machine.isAlive(pid)).toBe(true);
      await client[Symbol.asyncDispose]();
      await expect.poll(() => machine.isAlive(pid)).toBe(false);
    });

    it('goes on serving when it is told to drain and cannot', async ({ skip }) => {
      skip(isAtLeast(machine.version, '1.23'), 'this PgBouncer can drain');
      const workload = await open();
      const rendered = await serve(workload, { port, canary: 'gen-1' });
      await takeAll(workload, [
        { type: 'drain', instances: all },
        { type: 'verify', rendered },
      ]);
    });

    it('cuts who is left when it stops, and stops what drains', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const pids = pidsOf(await inspect(workload));
      await using _client = await machine.connect('a', address, port);
      await takeAll(workload, [
        { type: 'drain', instances: all },
        { type: 'stop', instances: all },
        { type: 'stop', instances: all },
      ]);
      expect(pids.some((pid) => machine.isAlive(pid))).toBe(false);
      expect((await inspect(workload)).instances.map(({ state }) => state)).toEqual(['absent', 'absent']);
    });

    it('pauses and resumes, and the next coordinator knows', async () => {
      const first = await machine.open(pair);
      await serve(first.workload, { port, canary: 'gen-1' });
      await takeAll(first.workload, [
        { type: 'pause', instances: all },
        { type: 'pause', instances: all },
      ]);
      expect(pausedIn(await inspect(first.workload))).toEqual([true, true]);
      await first.kill();
      const second = await open();
      expect(pausedIn(await inspect(second))).toEqual([true, true]);
      await takeAll(second, [{ type: 'resume', instances: [1] }]);
      expect(pausedIn(await inspect(second))).toEqual([false, true]);
      await takeAll(second, [
        { type: 'resume', instances: all },
        { type: 'resume', instances: all },
      ]);
      expect(pausedIn(await inspect(second))).toEqual([false, false]);
    });

    it('resumes the others when one of them cannot be paused', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const [, pid = 0] = pidsOf(await inspect(workload));
      machine.signal(pid, 'SIGKILL');
      await expect.poll(async () => (await inspect(workload)).instances[1]?.state).toBe('absent');
      expect(await take(workload, { type: 'pause', instances: all })).toMatchObject({
        kind: 'failed',
        reason: expect.stringContaining('instance 2'),
      });
      expect(pausedIn(await inspect(workload))).toEqual([false, false]);
    });

    it('shows the console of one instance', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      const config = await workload.show(2, 'config', never);
      expect(config).toContainEqual(expect.objectContaining({ key: 'listen_port', value: String(port) }));
      await using _client = await machine.connect('a', address, port);
      const clients = await Promise.all(all.map((id) => workload.show(id, 'clients', never)));
      expect(clients.flat().filter((row) => row?.['user'] === 'troupe_probe')).toHaveLength(1);
      expect(await workload.show(3, 'pools', never)).toBeNull();
    });

    it('gets where it should, though every coordinator dies after one step', async () => {
      const other = await machine.freePort([address]);
      const changes: readonly Wanted[] = [
        { port, canary: 'gen-1' },
        { port, canary: 'gen-2', options: { pool_mode: 'transaction' } },
        { port: other, canary: 'gen-3', options: { pool_mode: 'transaction' } },
      ];
      for (const wanted of changes) {
        let left = Number.POSITIVE_INFINITY;
        for (let coordinators = 0; left > 0; coordinators += 1) {
          expect(coordinators).toBeLessThan(10);
          const coordinator = await machine.open(pair);
          const { workload } = coordinator;
          const steps = planChange(await inspect(workload), await renderFor(workload, wanted));
          left = steps.length;
          await takeAll(workload, steps.slice(0, steps[0]?.type === 'prove' ? 2 : 1)); // A proof leaves nothing behind.
          await coordinator.kill();
        }
        const workload = await open();
        const rendered = await renderFor(workload, wanted);
        expect(await take(workload, { type: 'verify', rendered })).toEqual(done);
      }
    });

    it('refuses a step for an instance it does not have', async () => {
      const workload = await open();
      expect(await take(workload, { type: 'start', instances: [1, 3] })).toMatchObject({
        kind: 'refused',
        reason: expect.stringContaining('instance 3'),
      });
    });

    it('says that nothing is known of a step that was cancelled', async () => {
      const workload = await open();
      await serve(workload, { port, canary: 'gen-1' });
      await expect(workload.take({ type: 'reload', instances: all }, AbortSignal.abort())).rejects.toThrow(
        WorkloadUnavailable,
      );
      await expect(workload.inspect(AbortSignal.abort())).rejects.toThrow(WorkloadUnavailable);
      expect((await inspect(workload)).instances.map(({ state }) => state)).toEqual(['running', 'running']);
    });

    it('does not start what was never written', async () => {
      expect(await take(await open(), { type: 'start', instances: [1] })).toMatchObject({
        kind: 'failed',
        reason: expect.stringContaining('instance 1'),
      });
    });
  });
};

const done: StepOutcome = { kind: 'done' };

export const inspect = (workload: Workload): Promise<Inspection> => workload.inspect(never);
export const take = (workload: Workload, step: Step): Promise<StepOutcome> => workload.take(step, never);

/** Each of these steps is done. */
export const takeAll = async (workload: Workload, steps: readonly Step[]): Promise<void> => {
  for (const step of steps) expect([step.type, await take(workload, step)]).toEqual([step.type, done]);
};

export const renderFor = async (workload: Workload, wanted: Wanted): Promise<Rendered> =>
  renderedFor(await inspect(workload), wanted);

/** The whole way from nothing, or from what is, to verified. */
export const serve = async (workload: Workload, wanted: Wanted): Promise<Rendered> => {
  const rendered = await renderFor(workload, wanted);
  const instances = rendered.instances.map(({ id }) => id);
  await takeAll(workload, [
    { type: 'prove', rendered },
    { type: 'write', rendered },
    { type: 'start', instances },
    { type: 'verify', rendered },
  ]);
  return rendered;
};

export const pidsOf = ({ instances }: Inspection): readonly number[] => instances.flatMap(({ pid }) => pid ?? []);
const pausedIn = ({ instances }: Inspection): readonly boolean[] => instances.map(({ paused }) => paused);
