import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { markOf } from '../../src/infra/files/process-mark.ts';
import { ownedBy, ownerLabel } from '../support/container-owner.ts';
import { docker } from '../support/docker.ts';
import { removeForsakenContainers } from '../support/engine.ts';
import { removeLeaks, resourcesInUse, resourcesLeftSince } from '../support/leaks.ts';
import { redisServers, testDirectory } from '../support/servers.ts';

/** Some image that is there; null where no engine is. */
const image = redisServers().find(([name]) => name.includes(':'))?.[0] ?? null;
const { owner } = inject('testServers');

const startContainer = async (labels: Readonly<Record<string, string>>): Promise<string> => {
  const named = Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`]);
  const idle = ['--network', 'none', '--tmpfs', '/data', '--entrypoint', 'sleep', image ?? '', '600'];
  const id = (await docker(['run', '-d', ...named, ...idle])).trim();
  onTestFinished(async () => void (await docker(['rm', '-f', '-v', id]).catch(() => {}))); // It is gone, when all is well.
  return id;
};

const isThere = async (id: string): Promise<boolean> => (await docker(['ps', '-aq', '--no-trunc'])).includes(id);

describe('what tests leave behind', () => {
  it('is a process that still runs in a directory of theirs: it is named, and ended', async () => {
    const directory = await testDirectory();
    const child = spawn('sleep', ['600'], { cwd: directory, stdio: 'ignore' });
    const ended = once(child, 'exit');
    await once(child, 'spawn');
    expect(await removeLeaks(directory)).toEqual([`process ${child.pid} sleep 600`]);
    expect(await ended).toEqual([null, 'SIGKILL']);
    expect(await removeLeaks(directory)).toEqual([]);
  });

  it('is a container of theirs: it is named, and removed', async ({ skip }) => {
    if (image === null) return skip('no Docker engine answers, or it has no image for this');
    const directory = await testDirectory();
    const id = await startContainer(ownedBy(owner, directory));
    expect(await removeLeaks(directory)).toEqual([expect.stringMatching(`^container /.* of ${image}$`)]);
    expect(await isThere(id)).toBe(false);
    expect(await removeLeaks(directory)).toEqual([]);
  });

  it('is removed by the next run when its own was interrupted, and not while that one lives', async ({ skip }) => {
    if (image === null) return skip('no Docker engine answers, or it has no image for this');
    const directory = await testDirectory();
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    await once(child, 'spawn');
    const interrupted = await startContainer({ [ownerLabel]: JSON.stringify(markOf(child.pid ?? 0)) });
    const running = await startContainer(ownedBy(owner, directory));
    await removeForsakenContainers();
    expect([await isThere(interrupted), await isThere(running)]).toEqual([true, true]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    await removeForsakenContainers();
    expect([await isThere(interrupted), await isThere(running)]).toEqual([false, true]);
  });

  it('is a server or a timer of the test file: it is named until it is closed', async () => {
    const before = resourcesInUse();
    const server = createServer().listen(0, '127.0.0.1');
    const timer = setInterval(() => {}, 60_000);
    await once(server, 'listening');
    expect((await resourcesLeftSince(before, 0)).toSorted()).toEqual(['TCPServerWrap', 'Timeout']);
    clearInterval(timer);
    server.close();
    expect(await resourcesLeftSince(before)).toEqual([]);
  });
});
