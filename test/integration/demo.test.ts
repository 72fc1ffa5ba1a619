import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { apiAt } from '../../src/infra/cli/api-client.ts';
import type { FleetStatus } from '../../src/actors/model/status.ts';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { isAlive } from '../../src/infra/files/process-mark.ts';
import { processesOf, startDemo } from '../support/demo-process.ts';
import { testDirectory } from '../support/servers.ts';

const signal = AbortSignal.timeout(300_000);

describe('troupe demo --once', () => {
  it('proves every instance as the client, and nothing of it is left', async () => {
    const runDir = join(await testDirectory(), 'run');
    const demo = startDemo(['--once', '--json', '--units', '2'], runDir);
    expect([await demo.ended, demo.stderr()]).toEqual([0, expect.stringContaining('has to prove it')]);
    const { units, tookMs } = proofSchema.parse(JSON.parse(demo.stdout()));
    expect(units.map(({ unit }) => unit)).toEqual(['pgbouncer/0', 'pgbouncer/1']);
    const instances = units.flatMap((unit) => unit.instances);
    expect(instances).toHaveLength(4);
    for (const instance of instances) {
      expect(instance).toMatchObject({ ok: true, database: 'first' });
      expect(instance.currentUser).not.toBe(instance.sessionUser);
    }
    expect(new Set(instances.map(({ pid }) => pid)).size).toBe(4);
    expect(tookMs).toBeGreaterThan(0);
    expect([existsSync(runDir), existsSync(demo.directory())]).toEqual([false, false]);
    expect(await processesOf(demo.directory())).toEqual([]);
  });

  it('names an instance that is killed while it is proven, and fails', async () => {
    const runDir = join(await testDirectory(), 'run');
    // So many that meeting them all takes far longer than the victim has to live.
    const demo = startDemo(['--once', '--json', '--units', '1', '--instances', '8'], runDir);
    await expect.poll(() => pidsOf(runDir), { timeout: 60_000 }).toHaveLength(8);
    const [victim = 0] = await pidsOf(runDir);
    await demo.says('has to prove it');
    process.kill(victim, 'SIGKILL');
    expect(await demo.ended).toBe(1);
    const [unit] = proofSchema.parse(JSON.parse(demo.stdout())).units;
    expect(unit?.instances.map(({ ok }) => ok)).toEqual([false, ...Array.from({ length: 7 }, () => true)]);
    expect(unit?.instances[0]).toMatchObject({
      id: 1,
      pid: victim,
      error: expect.stringMatching(/^it was|^it did|^its connection|^no connection/),
    });
  });

  it('says how it is used', async () => {
    const demo = startDemo(['--help'], join(await testDirectory(), 'run'));
    expect([await demo.ended, demo.stdout(), demo.stderr()]).toEqual([0, expect.stringContaining('--instances N'), '']);
  });

  it.each([
    ['--units', '0'],
    ['--units', 'many'],
    ['--instances', '65'],
    ['--twice', ''],
  ])('refuses %s %s as bad usage', async (flag, value) => {
    const demo = startDemo(value === '' ? [flag] : [flag, value], join(await testDirectory(), 'run'));
    expect([await demo.ended, demo.stdout()]).toEqual([2, '']);
    expect(demo.stderr()).toContain(flag);
  });
});

describe('troupe demo', () => {
  it('gives a client that works through every unit, and starts again what dies', async () => {
    const runDir = join(await testDirectory(), 'run');
    const demo = startDemo(['--units', '2'], runDir);
    await demo.says('Ctrl-C removes all of it');
    const status = await statusOf(runDir);
    const uri = /psql '(postgresql:[^']+)'/.exec(demo.stdout())?.[1] ?? '';
    const [first = '', second = ''] = status.units.map(({ address }) => address);
    await psql(throughOnly(first, uri), 'create table rows (v int); insert into rows values (42)');
    expect(await psql(throughOnly(second, uri), 'select v from rows')).toBe('42');

    const leader = status.units.find((unit) => unit.leader);
    process.kill(leader?.pid ?? 0, 'SIGKILL');
    await demo.says(`${leader?.unit} runs again`);
    await expect
      .poll(async () => (await statusOf(runDir)).units.map(({ status: word, pid }) => [word, pid === leader?.pid]), {
        timeout: 30_000,
      })
      .toEqual([
        ['active', false],
        ['active', false],
      ]);
    expect(pidsIn(await statusOf(runDir))).toEqual(pidsIn(status));

    demo.child.kill('SIGINT');
    expect(await demo.ended).toBe(0);
    expect([existsSync(runDir), existsSync(demo.directory()), await processesOf(demo.directory())]).toEqual([
      false,
      false,
      [],
    ]);
  }, 120_000);

  it('that was killed is cleared away by the next, PgBouncers included', async () => {
    const runDir = join(await testDirectory(), 'run');
    const killed = startDemo(['--units', '1', '--json'], runDir);
    await killed.says('"psql"');
    const left = await processesOf(killed.directory());
    expect(left.length).toBeGreaterThan(5); // A coordinator, two PgBouncers, Redis, and PostgreSQL with its own.
    killed.child.kill('SIGKILL');
    await killed.ended;
    const next = startDemo(['--once', '--units', '1'], runDir);
    expect(await next.ended).toBe(0);
    expect(left.filter(isAlive)).toEqual([]);
    expect([existsSync(killed.directory()), existsSync(runDir)]).toEqual([false, false]);
  });

  it.each([
    ['before anything runs', 'units come up', 'SIGTERM'],
    ['while units start', 'waiting until', 'SIGINT'],
    ['while instances are proven', 'has to prove it', 'SIGHUP'],
  ] as const)('ended %s leaves nothing', async (_, moment, name) => {
    const runDir = join(await testDirectory(), 'run');
    const demo = startDemo(['--once', '--units', '1', '--instances', '8', '--json'], runDir);
    await demo.says(moment);
    demo.child.kill(name);
    expect(await demo.ended).toBe(1);
    expect(demo.stderr()).toContain(`ended by ${name}`);
    expect([existsSync(runDir), existsSync(demo.directory()), await processesOf(demo.directory())]).toEqual([
      false,
      false,
      [],
    ]);
  });

  it('whose output nobody reads any more cleans up as well', async () => {
    const runDir = join(await testDirectory(), 'run');
    const demo = startDemo(['--units', '1'], runDir);
    demo.child.stdout?.destroy();
    expect(await demo.ended).toBe(0);
    expect([existsSync(runDir), await processesOf(demo.directory())]).toEqual([false, []]);
  });
});

const proofSchema = z.strictObject({
  units: z.array(
    z.strictObject({
      unit: z.string(),
      instances: z.array(
        z.strictObject({
          id: z.int(),
          pid: z.int().nullable(),
          currentUser: z.string().nullable(),
          sessionUser: z.string().nullable(),
          database: z.string().nullable(),
          backendPid: z.int().nullable(),
          ok: z.boolean(),
          error: z.string().optional(),
        }),
      ),
    }),
  ),
  tookMs: z.int(),
});

const statusOf = (runDir: string): Promise<FleetStatus> => apiAt(join(runDir, 'pgbouncer-0.sock')).status(signal);

const pidsIn = ({ units }: FleetStatus) => units.map(({ instances }) => instances.map(({ pid }) => pid));

/** Of the instances of unit 0 that serve. */
const pidsOf = async (runDir: string): Promise<readonly number[]> => {
  const status = await statusOf(runDir).catch(() => null); // It may not answer yet.
  return (status?.units[0]?.instances ?? []).flatMap(({ pid }) => (pid === null ? [] : [pid]));
};

const throughOnly = (address: string, uri: string): string => uri.replace(/@[^/]+\//, `@${address}/`);

const psql = async (uri: string, sql: string): Promise<string> => {
  const program = findBinary('psql', process.env['PATH'] ?? '');
  const { stdout } = await promisify(execFile)(program, ['-XAtq', '-v', 'ON_ERROR_STOP=1', uri, '-c', sql]);
  return stdout.trim();
};
