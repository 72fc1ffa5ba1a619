/** Units whose machine lacks what they need: each says so in a sentence, serves what it can, and goes on when it has it. */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createConnection, type Socket } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { spawnIds } from '../../src/infra/local/service-user.ts';
import { isServing, lacks, LoneUnit, type LoneUnitOptions, remarks } from '../support/lone-unit.ts';
import { pgbouncerBinaries, testAccount, testDirectory } from '../support/servers.ts';

const run = promisify(execFile);
const newest = (await pgbouncerBinaries()).findLast((one) => one.run !== null);
const binary = newest?.run ?? '';
const soonMs = 5_000;
const isRoot = process.getuid?.() === 0;
const rootOnly = 'only root can mount, give an address to a machine, or make files of somebody else';

describe.skipIf(newest === undefined)(`a unit with PgBouncer ${newest?.version} on an odd machine`, () => {
  it('says what is wrong with its program, leaves its instances alone, and goes on with the right one', async () => {
    const program = join(await testDirectory('p-'), 'pgbouncer');
    await own(join(program, '..'));
    const put = async (text: string, mode = 0o755): Promise<void> => {
      await writeFile(`${program}.new`, text);
      await chmod(`${program}.new`, mode);
      await rename(`${program}.new`, program);
    };
    const right = `#!/bin/sh\nexec ${binary} "$@"\n`;
    await put(right);
    await using unit = await LoneUnit.serving({ binary: program });
    const pids = unit.pids();
    await rm(program);
    await unit.until(lacks('pgbouncer', /there is no PgBouncer at ".*TROUPE_PGBOUNCER/), soonMs);
    await put('#!/bin/sh\necho nginx version: 1.2\n');
    await unit.until(lacks('pgbouncer', /is no PgBouncer.*nginx/), soonMs);
    await put('#!/bin/sh\necho PgBouncer 1.17.0\n'); // None so old can be had here; what it says of itself is all that counts.
    await unit.until(lacks('pgbouncer-version', /is PgBouncer 1\.17\.0, and a unit needs 1\.18 or newer/), soonMs);
    await put(right, 0o644);
    await unit.until(lacks('pgbouncer', /may not execute it/), soonMs);
    await put('#!/bin/sh\nsleep 60\n');
    await unit.until(lacks('pgbouncer', /did not tell its version within 2 s/), soonMs + 2_000);
    await put('#!/bin/sh\necho PgBouncer 1.99.0\n');
    await unit.until(
      remarks('other-program', /instance 1 runs PgBouncer .*, and the program on disk is 1\.99\.0/),
      soonMs + 2_000,
    );
    await put(right);
    await unit.until((own) => isServing(own) && own.remarks.length === 0, soonMs);
    expect(unit.pids()).toEqual(pids);
  });

  it.skipIf(!isRoot)(`says that its disk is full, and writes when there is space again: ${rootOnly}`, async () => {
    await using unit = await LoneUnit.serving(withOwnDisk('size=3m'));
    const pids = unit.pids();
    // Seen from outside: the mount is the unit's alone.
    const inside = join('/proc', String(unit.pid), 'root', unit.directory, 'state', 'fill');
    await run('sh', ['-c', 'dd if=/dev/zero of="$0" bs=64k 2>/dev/null || true', inside]);
    await unit.until(lacks('disk', /no space left to write: (only \d+ KiB are left|no space is left)/), soonMs);
    const [first = 0] = pids;
    process.kill(first, 'SIGKILL');
    await unit.until(
      ({ instances }) => instances.every(({ state, pid }) => state === 'serving' && pid !== first),
      soonMs,
    );
    await rm(inside);
    await unit.until(isServing, soonMs);
    expect(unit.pids().slice(1)).toEqual(pids.slice(1));
  });

  it.skipIf(!isRoot)(`says that its file system is read-only, and serves on: ${rootOnly}`, async () => {
    await using unit = await LoneUnit.serving(withOwnDisk('size=8m'));
    const state = join(unit.directory, 'state');
    const mount = (...args: readonly string[]) => run('nsenter', ['-t', String(unit.pid), '-m', ...args]);
    const [first = 0, second] = unit.pids();
    // Laid over it, because the logs that are open keep the file system itself writable.
    await mount('mount', '--bind', state, state);
    await mount('mount', '-o', 'remount,ro,bind', state);
    await unit.until(lacks('files', /is read-only/), soonMs);
    process.kill(first, 'SIGKILL');
    await unit.until(
      ({ instances }) => instances.every(({ state, pid }) => state === 'serving' && pid !== first),
      soonMs,
    );
    expect(unit.pids()).toContain(second);
    await mount('umount', '--lazy', state); // What was started meanwhile works in there.
    await unit.until(isServing, soonMs);
  });

  it.skipIf(!isRoot)(`says that its machine has no such address, and listens once it has: ${rootOnly}`, async () => {
    await using unit = await LoneUnit.open({ binary, address: '192.0.2.77', port: 26_432 });
    await unit.listenAtItsPort();
    await unit.until(lacks('listen-address', /this machine has no address 192\.0\.2\.77/), soonMs);
    await run('ip', ['addr', 'add', '192.0.2.77/32', 'dev', 'lo']);
    try {
      await unit.until(isServing, soonMs);
    } finally {
      await run('ip', ['addr', 'del', '192.0.2.77/32', 'dev', 'lo']);
    }
  });

  it('names the unit of the same machine that has its address, and leaves that one alone', async () => {
    await using first = await LoneUnit.serving({ binary });
    const pids = first.pids();
    await using second = await LoneUnit.open({ binary, port: first.port });
    await second.listenAtItsPort();
    await second.until(lacks('address', new RegExp(`held by process \\d+ \\(pgbouncer ${first.directory}`)), soonMs);
    expect(isServing(await first.until(() => true))).toBe(true);
    expect(first.pids()).toEqual(pids);
    first.signal('SIGTERM');
    await first.ended();
    await second.until((own) => isServing(own) && own.address.endsWith(`:${first.port}`), soonMs);
  });

  it('remarks what of its state was damaged when it started, once in its log, and serves', async () => {
    await using first = await LoneUnit.serving({ binary });
    first.signal('SIGKILL');
    await first.ended();
    await truncate(first.file('ledger'), 20);
    const { directory, port } = first;
    await using unit = await LoneUnit.open({ binary, directory, port });
    const own = await unit.until(
      (seen) => isServing(seen) && remarks('lost-state', /ledger was damaged .*: this unit goes on/)(seen),
    );
    expect(own.message).toBe('');
    unit.signal('SIGTERM');
    const lines = (await unit.ended()).said.split('\n').filter((line) => line.includes('"lost-state"'));
    expect(lines).toEqual([expect.stringMatching(/"level":40.*ledger was damaged/)]);
  });

  it('warns of few descriptors, says when they are used up, and takes clients again when some have left', async () => {
    await using unit = await LoneUnit.serving({ binary, instances: 1, before: 'ulimit -Sn 100; ulimit -Hn 120' });
    await unit.until(remarks('few-descriptors', /may have 120 files .* could need/), soonMs);
    const [pid] = unit.pids();
    const sockets: Socket[] = [];
    for (let i = 0; i < 150; i += 1) {
      const socket = createConnection(unit.port, unit.address);
      socket.on('error', () => {});
      await once(socket, 'connect');
      sockets.push(socket);
    }
    await unit.until(lacks('descriptors', /has used up its 120 file descriptors/), soonMs);
    for (const socket of sockets) socket.destroy();
    await unit.until(isServing, 12_000); // PgBouncer itself rests for five seconds.
    expect(unit.pids()).toEqual([pid]);
  });

  it.each<readonly [string, (directory: string) => Promise<Partial<LoneUnitOptions>>, RegExp]>([
    [
      'a key file that it may not read',
      async (directory) => {
        await mkdir(join(directory, 'key'));
        return { environment: { TROUPE_SECRET_KEY_FILE: join(directory, 'key') } };
      },
      /^troupe: cannot read the secret key: .*key is no file that this program may read/,
    ],
    [
      'a password file that is missing',
      async (directory) => {
        await writeFile(join(directory, 'key'), `${Buffer.alloc(32, 1).toString('base64')}\n`);
        return {
          environment: {
            TROUPE_BACKPLANE: 'redis://127.0.0.1:1',
            TROUPE_SECRET_KEY_FILE: join(directory, 'key'),
            TROUPE_BACKPLANE_PASSWORD_FILE: join(directory, 'absent'),
          },
        };
      },
      /^troupe: .*password.*absent/,
    ],
    [
      'a run directory whose sockets would have too long a name',
      async (directory) => ({ environment: { TROUPE_RUN_DIR: join(directory, 'long'.repeat(20)) } }),
      /^troupe: cannot .*: .*10[0-9]|choose a shorter run directory/,
    ],
    [
      'a state directory of somebody else',
      async (directory) => {
        await mkdir(join(directory, 'state', 'pgbouncer-0'), { recursive: true });
        await chmod(join(directory, 'state', 'pgbouncer-0'), isRoot ? 0o700 : 0o000);
        return {};
      },
      /^troupe: cannot use the state directory .*: this unit's account may not use .*pgbouncer-0/,
    ],
  ])('ends with exit code 1 and one sentence for %s', async (_, prepare, words) => {
    const directory = await testDirectory('u-');
    await using unit = await LoneUnit.open({ binary, ...(await prepare(directory)), directory });
    const { code, said } = await unit.ended();
    expect({ code, said }).toEqual({ code: 1, said: expect.stringMatching(words) });
    expect(said.trimEnd().split('\n')).toHaveLength(1);
  });
});

/** A file system of its own for its state, which it cannot share with anything. */
const withOwnDisk = (size: string): LoneUnitOptions => {
  const { uid, gid } = spawnIds(testAccount());
  return {
    binary,
    ownMounts: true,
    before: `mkdir -p "$HOME_OF_UNIT/state"; mount -t tmpfs -o ${size},uid=${uid},gid=${gid},mode=700 none "$HOME_OF_UNIT/state"`,
  };
};

const own = async (directory: string): Promise<void> => {
  const { uid, gid } = spawnIds(testAccount());
  await chmod(directory, 0o755);
  if (uid !== undefined && gid !== undefined) await chown(directory, uid, gid);
};
