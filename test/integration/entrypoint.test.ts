/** What starts coordinators in a container, without one: a played coordinator is told to end at all moments. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { testDirectory } from '../support/servers.ts';

const root = join(import.meta.dirname, '../..');
const atOnce = 6;

describe('the entrypoint of the image', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await testDirectory('entry-');
    await mkdir(join(directory, 'bin'));
    const troupe = join(directory, 'bin', 'troupe');
    await writeFile(troupe, `#!/bin/sh\nexec "${process.execPath}" "${root}/test/support/played-coordinator.ts"\n`);
    await chmod(troupe, 0o755);
  });

  const codeOf = async (child: ChildProcess): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    return child.exitCode;
  };

  /** With a PgBouncer that an earlier coordinator has left, if it is told to. */
  const container = async (name: string, played: string, has: 'pgbouncer' | null) => {
    const record = join(directory, `${name}.record`);
    await writeFile(record, '');
    const args = [join(root, 'deploy/entrypoint'), ...(has === null ? [] : [iniOf(name)])];
    const child = spawn(process.execPath, [join(root, 'test/support/played-init.ts'), ...args], {
      stdio: 'ignore',
      env: {
        ...process.env,
        PATH: `${join(directory, 'bin')}:${process.env['PATH']}`,
        PLAYED: played,
        PLAYED_RECORD: record,
      },
    });
    const words = async (): Promise<readonly string[]> =>
      (await readFile(record, 'utf8')).split('\n').filter((word) => word !== '');
    await expect.poll(words, { timeout: 20_000, interval: 5 }).toContain('listens');
    const starts = async (): Promise<number> => (await words()).filter((word) => word === 'start').length;
    return { child, words, starts };
  };
  const iniOf = (name: string): string => join(directory, name, 'instances', '1', 'pgbouncer.ini');
  const rounds = async (times: number, round: (name: string) => Promise<void>): Promise<void> => {
    for (let first = 0; first < times; first += atOnce)
      await Promise.all(Array.from({ length: atOnce }, (_, index) => round(`${first + index}`)));
  };

  it('tells the next coordinator that it is to stop, when the last one ended over being told so, and PgBouncers live', async () => {
    await rounds(30, async (name) => {
      const { child, words, starts } = await container(`next-${name}`, 'crashes', 'pgbouncer');
      child.kill('SIGTERM');
      expect(await codeOf(child)).toBe(0);
      expect(await starts()).toBe(2);
      expect((await words()).at(-1)).toBe('drained');
    });
  });

  it.each([
    ['drained', 'drains', 0],
    ['found its settings wrong', 'refuses', 2],
  ])('ends as a coordinator did that has %s, whatever signals come meanwhile', async (_, played, code) => {
    await rounds(12, async (name) => {
      const { child, words, starts } = await container(`${played}-${name}`, played, null);
      child.kill('SIGTERM');
      await expect.poll(words, { timeout: 20_000, interval: 1 }).toContain('SIGTERM');
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) child.kill(signal);
      expect(await codeOf(child)).toBe(code);
      expect(await starts()).toBe(1);
    });
  });

  it('does not take the PgBouncers of others, should it see them, for its own', async () => {
    const other = await container('other', 'drains', 'pgbouncer');
    const { child, starts } = await container('own', 'drains', null);
    child.kill('SIGTERM');
    expect(await codeOf(child)).toBe(0);
    expect(await starts()).toBe(1);
    other.child.kill('SIGTERM');
    expect(await codeOf(other.child)).toBe(0);
  });
});
