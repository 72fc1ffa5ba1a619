/** What an operator sees when the machine of a unit is odd, and that it mends itself as soon as the cause is gone. */
import { execFile } from 'node:child_process';
import { chmod, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { UnitStatus } from '../../src/actors/model/status.ts';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { isServing, lacks, LoneUnit, type LoneUnitOptions, remarks } from '../support/lone-unit.ts';
import { pgbouncerBinaries, testAccount } from '../support/servers.ts';
import { strangerAt } from '../support/stranger.ts';

const binaries = await pgbouncerBinaries();
const newest = binaries.findLast(({ run }) => run !== null);
const binary = newest?.run ?? '';
const soonMs = 5_000;

const use = (options: Partial<LoneUnitOptions> = {}): (() => LoneUnit) => {
  let unit: LoneUnit | undefined;
  beforeAll(async () => {
    unit = await LoneUnit.serving({ binary, ...options });
  }, 30_000);
  afterAll(async () => {
    await unit?.[Symbol.asyncDispose]();
  });
  return () => {
    if (unit === undefined) throw new Error('the unit is there only while tests run');
    return unit;
  };
};

/** It says so in time, and says nothing of it any more in time after the cause has gone. */
const says = async (
  unit: LoneUnit,
  holds: (unit: UnitStatus) => boolean,
  mend: () => Promise<unknown> = async () => {},
): Promise<void> => {
  await unit.until(holds, soonMs);
  await mend();
  await unit.until(isServing, soonMs);
};

describe.skipIf(newest === undefined)(`a unit with PgBouncer ${newest?.version}`, () => {
  const unit = use();
  const console = async (instance: number, ...commands: readonly string[]): Promise<string> => {
    const login = ['-h', join(unit().directory, 'run', 'pgbouncer-0', String(instance)), '-p', String(unit().port)];
    const each = commands.flatMap((command) => ['-c', command]);
    const { stdout } = await promisify(execFile)(
      'psql',
      ['-XAtq', ...login, '-U', 'pgbouncer', '-d', 'pgbouncer', ...each],
      {
        cwd: '/',
        env: { PATH: process.env['PATH'], LANG: 'C.UTF-8' },
        ...spawnIds(testAccount()),
      },
    );
    return stdout;
  };

  it('replaces an instance that hangs, and leaves the other alone', async () => {
    const [first = 0, second = 0] = unit().pids();
    process.kill(first, 'SIGSTOP');
    await unit().until(remarks('replaced', new RegExp(`process ${first}\\) did not answer`)), soonMs);
    await unit().until(isServing, soonMs);
    expect(unit().pids()).not.toContain(first);
    expect(unit().pids()).toContain(second);
  });

  it('starts an instance again that is killed, rests when that goes on, and says so', async () => {
    const [, second] = unit().pids();
    let over = false;
    const killing = (async () => {
      for (let last = 0; !over; await delay(50)) {
        const [first = 0] = unit().pids();
        if (first !== last && first !== second) process.kill(first, 'SIGKILL');
        last = first;
      }
    })();
    await unit().until(lacks('crashes', /instance 1 ended \d times .*was ended by SIGKILL/), 10_000);
    over = true;
    await killing;
    await unit().until(isServing, soonMs);
    expect(unit().pids()).toContain(second);
  });

  it.each([
    [
      'replaced',
      /ini of instance 1 was changed by hand, .* own$/,
      (ini: string) => writeFile(ini, '[pgbouncer]\nx = 1\n'),
    ],
    ['cut off', /ini of instance 1 was changed by hand, .*\(2 times\)/, (ini: string) => truncate(ini, 10)],
    ['removed', /ini of instance 1 was removed by hand, .* own$/, (ini: string) => rm(ini)],
  ])('writes an ini again that was %s, and remarks it', async (_, words, damage) => {
    await chmod(unit().ini(1), 0o600);
    const before = await readFile(unit().ini(1), 'utf8');
    await damage(unit().ini(1));
    await unit().until(remarks('repaired', words), soonMs);
    await unit().until(isServing, soonMs);
    expect(await readFile(unit().ini(1), 'utf8')).toBe(before);
  });

  it('puts right what somebody changed on a console', async () => {
    await console(1, 'SET query_timeout = 77');
    await unit().until(remarks('repaired', /query_timeout of instance 1 was set/), soonMs);
    expect(await console(1, 'SHOW CONFIG')).not.toMatch(/query_timeout\|77/);
    await console(2, 'PAUSE');
    await unit().until(remarks('repaired', /instance 2 was paused/), soonMs);
    expect(await console(2, 'SHOW STATE')).toMatch(/paused\|no/);
  });

  it('says that a stranger shares its address, whoever that is', async () => {
    await using stranger = await strangerAt(unit().address, unit().port);
    await says(unit(), lacks('address', /is held by .*part of the clients/), () => stranger.end());
  });

  it('does not start an instance beside a stranger, and does as soon as that one is gone', async () => {
    await using stranger = await strangerAt(unit().address, unit().port);
    const [first = 0] = unit().pids();
    process.kill(first, 'SIGKILL');
    await unit().until(({ instances }) => instances[0]?.state === 'stopped', soonMs);
    await says(unit(), lacks('address'), () => stranger.end());
  });

  it('says that its directory cannot be written, and serves on', async () => {
    const pids = unit().pids();
    await chmod(unit().file(), 0o500);
    await says(unit(), lacks('files', /may not use/), () => chmod(unit().file(), 0o700));
    expect(unit().pids()).toEqual(pids);
  });

  it('makes its sockets again when somebody removed their directory, one instance after the other', async () => {
    const before = unit().pids();
    await rm(join(unit().directory, 'run', 'pgbouncer-0'), { recursive: true });
    await unit().until(remarks('repaired', /socket of instance 1 was removed/), 10_000);
    await unit().until(
      (own) =>
        isServing(own) &&
        !unit()
          .pids()
          .some((pid) => before.includes(pid)),
      soonMs,
    );
    await console(1, 'SHOW VERSION');
  });

  it('can be asked again when somebody removed the socket of its API', async () => {
    await rm(unit().socket);
    await expect
      .poll(
        () =>
          unit()
            .api.status(AbortSignal.timeout(1_000))
            .then(
              ({ answeredBy }) => answeredBy,
              () => '',
            ),
        {
          timeout: soonMs,
        },
      )
      .toBe('pgbouncer/0');
  });

  it('writes its files where links were planted, and not where they lead', async () => {
    const elsewhere = join(unit().directory, 'state', 'elsewhere');
    await writeFile(elsewhere, 'not ours');
    await rm(unit().ini(1));
    await symlink(elsewhere, unit().ini(1));
    await unit().until(remarks('repaired', /ini of instance 1 was removed .*\(2 times\)/), soonMs);
    await unit().until(isServing, soonMs);
    expect(await readFile(elsewhere, 'utf8')).toBe('not ours');
  });
});
