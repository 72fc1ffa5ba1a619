import { describe, expect, inject, it } from 'vitest';
import { docker } from '../support/docker.ts';
import { UnitContainer } from '../support/unit-container.ts';

const { images } = inject('e2e');
const versions = [
  ['1.24', images.trixie, 'debian:trixie-slim'],
  ['1.26', images.forky, 'debian:forky-slim'],
] as const;

const mebibyte = 1024 * 1024;
const soon = { timeout: 30_000, interval: 250 };

const untilReady = (unit: UnitContainer): Promise<void> =>
  expect.poll(() => unit.run('troupe', 'ready').catch(String), soon).toContain('is ready');

/** State and command of each process, by its id. */
const processesOf = async (unit: UnitContainer): Promise<ReadonlyMap<number, string>> => {
  const lines = (await unit.run('sh', '-c', 'cat /proc/[0-9]*/stat 2>/dev/null || true')).split('\n').filter(Boolean);
  return new Map(lines.map((line) => [Number.parseInt(line, 10), line.replace(/^\d+ \((.*)\) (\S).*$/, '$2 $1')]));
};

const pgbouncersOf = async (unit: UnitContainer): Promise<readonly (number | null)[]> => {
  const { units } = await unit.status();
  return units[0]?.instances.map(({ pid }) => pid) ?? [];
};

describe.each(versions)('the image with PgBouncer %s', (version, image, base) => {
  it('runs as nobody special on a read-only root without capabilities, and its health is its readiness', async () => {
    await using unit = await UnitContainer.start(image);
    await untilReady(unit);
    const [own] = (await unit.status()).units;
    expect(own).toMatchObject({ unit: 'pgbouncer/0', status: 'active', instances: [{ state: 'serving' }, {}] });
    expect(own?.instances.map((instance) => instance.version?.slice(0, 4))).toEqual(own?.instances.map(() => version));
    expect(await unit.run('sh', '-c', 'id -u; cat /proc/1/status')).toMatch(/^6432\n[^]*CapEff:\t0+\n/);
    await expect.poll(() => unit.inspect('{{.State.Health.Status}}'), soon).toBe('healthy');
  });

  it('starts a coordinator again that was killed, and no PgBouncer with it', async () => {
    await using unit = await UnitContainer.start(image);
    await untilReady(unit);
    const [before, pids] = [await unit.status(), await pgbouncersOf(unit)];
    await unit.run('sh', '-c', `kill -9 ${before.units[0]?.pid}`);
    await expect
      .poll(async () => (await unit.status().catch(() => null))?.leader?.epoch ?? 0, soon)
      .toBeGreaterThan(before.leader?.epoch ?? 0);
    await untilReady(unit);
    expect(await pgbouncersOf(unit)).toEqual(pids);
    expect((await unit.status()).generation).toEqual(before.generation);
    expect([...(await processesOf(unit)).values()].filter((process) => process.startsWith('Z'))).toEqual([]);
  });

  it('starts a PgBouncer again that was killed, and reaps it', async () => {
    await using unit = await UnitContainer.start(image);
    await untilReady(unit);
    const [first, ...others] = await pgbouncersOf(unit);
    await unit.run('sh', '-c', `kill -9 ${first}`);
    await expect.poll(async () => (await processesOf(unit)).has(first ?? 0), soon).toBe(false);
    await expect.poll(() => pgbouncersOf(unit), soon).toEqual([expect.any(Number), ...others]);
    await untilReady(unit);
  });

  it('begins its coordinator anew when told to (SIGHUP), and no PgBouncer with it', async () => {
    await using unit = await UnitContainer.start(image);
    await untilReady(unit);
    const [before, pids] = [await unit.status(), await pgbouncersOf(unit)];
    await docker(['kill', '-s', 'HUP', unit.id]);
    await expect
      .poll(async () => (await unit.status().catch(() => null))?.units[0]?.pid ?? before.units[0]?.pid, soon)
      .not.toBe(before.units[0]?.pid);
    await untilReady(unit);
    expect(await pgbouncersOf(unit)).toEqual(pids);
  });

  it('keeps its sockets to itself where everybody may write beside them, as in an emptyDir', async () => {
    const shared = ['--tmpfs', '/shared:mode=3777,uid=0,gid=6432', '--env', 'TROUPE_RUN_DIR=/shared/unit'];
    await using unit = await UnitContainer.start(image, ...shared);
    await untilReady(unit);
    expect(await unit.run('stat', '-c', '%a %u', '/shared/unit')).toBe('2750 6432\n');
  });

  it('drains and ends when it is stopped', async () => {
    await using unit = await UnitContainer.start(image, '--env', 'TROUPE_DRAIN_DELAY=0');
    await untilReady(unit);
    await docker(['stop', '-t', '30', unit.id]);
    expect(await unit.inspect('{{.State.ExitCode}} {{.State.OOMKilled}}')).toBe('0 false');
  });

  it.each([
    ['has just handed over (SIGHUP), and did not hear that any more', 'HUP'],
    ['was killed', 'KILL'],
  ])('drains and ends when it is stopped at the moment when its coordinator %s', async (_, signal) => {
    await using unit = await UnitContainer.start(image, '--env', 'TROUPE_DRAIN_DELAY=0');
    await untilReady(unit);
    const { pid } = (await unit.status()).units[0] ?? {};
    // Whoever starts coordinators does not look until both have come.
    const ended = `until grep -q '^State:.Z' /proc/${pid}/status; do sleep 0.05; done`;
    const starter = `set -- $(cat /proc/1/task/1/children)`;
    const told = `kill -s ${signal} ${pid}; ${ended}; [ ${signal} = KILL ] || kill -s HUP $1; kill -s TERM $1`;
    await unit.run('sh', '-c', `${starter}; kill -s STOP $1; ${told}; kill -s CONT $1`);
    await docker(['wait', unit.id]);
    expect(await unit.inspect('{{.State.ExitCode}}')).toBe('0');
    expect(await docker(['logs', unit.id], { both: true })).toMatch(/"reason":"stopped, nobody was cut"/);
  });

  it('hears the Ctrl-C of a terminal, which everybody there hears, as one stop: it waits for load balancers before it drains', async () => {
    await using unit = await UnitContainer.start(image, '--env', 'TROUPE_DRAIN_DELAY=2');
    await untilReady(unit);
    const group = 'set -- $(cat /proc/1/task/1/children); set -- $(cat /proc/$1/stat)';
    await unit.run('sh', '-c', `${group}; kill -s INT -- -$5`);
    await docker(['wait', unit.id]);
    expect(await unit.inspect('{{.State.ExitCode}}')).toBe('0');
    const lines = (await docker(['logs', unit.id], { both: true })).split('\n').filter((line) => line.startsWith('{'));
    const said: readonly { msg: string; time: number }[] = lines.map((line) => JSON.parse(line));
    const timeOf = (words: string): number => said.find(({ msg }) => msg === words)?.time ?? Number.NaN;
    expect(timeOf('draining') - timeOf('leadership ended')).toBeGreaterThanOrEqual(1_900);
  });

  it('ends with one sentence for a setting that cannot be', async () => {
    await using unit = await UnitContainer.start(image, '--env', 'TROUPE_LEASE_TTL=soon');
    await docker(['wait', unit.id]);
    expect(await unit.inspect('{{.State.ExitCode}}')).toBe('2');
  });

  it('runs the command line as well', async () => {
    const project = ['--rm', '--network', 'none'];
    expect(await docker(['run', ...project, image, 'version'])).toMatch(/^troupe \d+\.\d+\.\d+\n$/);
  });

  it('holds what runs and nothing else: no compiler, no development, no secret', async () => {
    await using unit = await UnitContainer.start(image);
    const tools = ['cc', 'gcc', 'c++', 'make', 'npm', 'npx', 'tsc', 'git', 'curl', 'ld'];
    const found = await unit.run('sh', '-c', `for tool in ${tools.join(' ')}; do command -v $tool || true; done`);
    expect(found).toBe('');
    const search =
      'find / -xdev \\( -name node_modules -o -name "*.ts" -o -name "*.key" -o -name "*.map" \\) 2>/dev/null';
    expect(await unit.run('sh', '-c', `${search} || true`)).toBe('');
    const keys = await unit.run(
      'sh',
      '-c',
      'grep -rlE "BEGIN [A-Z ]*PRIVATE KEY" /etc /usr/local/lib /root 2>/dev/null || true',
    );
    expect(keys).toBe('');
    const environment: readonly string[] = JSON.parse(await unit.inspect('{{json .Config.Env}}'));
    expect(environment.filter((line) => /PASSWORD|SECRET|TOKEN|KEY/.test(line))).toEqual([]);
  });

  it('is small, says what it is, and asks to be stopped in a way that drains', async () => {
    const about = '{{.Size}} {{.Config.StopSignal}} {{index .Config.Labels "org.opencontainers.image.version"}}';
    const [size, signal, label] = (await docker(['image', 'inspect', '-f', about, image])).trim().split(' ');
    const beneath = Number(await docker(['image', 'inspect', '-f', '{{.Size}}', base]));
    expect((Number(size) - beneath) / mebibyte).toBeLessThan(250);
    expect([signal, `troupe ${label}\n`]).toEqual(['SIGTERM', await docker(['run', '--rm', image, 'version'])]);
  });
});
