import { chmod, chown, lstat, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, it, onTestFinished } from 'vitest';
import { MemoryFleet } from '../../support/memory-fleet.ts';
import { ask, serve, temporaryDirectory } from './harness.ts';

const fleet = new MemoryFleet();
const open = (socket: string) => serve(fleet.seenFrom(0), socket);

describe('the socket of the API', () => {
  it('is made in a directory closed to strangers, for the owner and the group, and is gone afterwards', async () => {
    const directory = join(await temporaryDirectory(), 'run');
    const socket = join(directory, 'pgbouncer-0.sock');
    {
      await using _api = await open(socket);
      expect((await stat(directory)).mode & 0o777).toBe(0o750);
      expect((await stat(socket)).mode & 0o777).toBe(0o660);
    }
    expect(await readdir(directory)).toEqual([]);
  });

  it('replaces one that nobody listens on', async () => {
    const socket = join(await temporaryDirectory(), 'pgbouncer-0.sock');
    const script = `require('net').createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, 'SIGKILL'))`;
    await once(spawn(process.execPath, ['-e', script], { stdio: 'ignore' }), 'exit');
    expect((await lstat(socket)).isSocket()).toBe(true);
    await using _api = await open(socket);
    expect((await ask(socket, 'GET', '/liveness')).status).toBe(200);
  });

  it('is refused where another process listens, which goes on undisturbed', async () => {
    const { socket } = await open(join(await temporaryDirectory(), 'pgbouncer-0.sock'));
    await expect(open(socket)).rejects.toThrow(`cannot open the API at ${socket}: another process listens there`);
    expect((await ask(socket, 'GET', '/liveness')).status).toBe(200);
  });

  it('is refused where a process that hangs listens, its queue full', async () => {
    const socket = join(await temporaryDirectory(), 'pgbouncer-0.sock');
    const options = JSON.stringify({ path: socket, backlog: 1 });
    const script = `require('net').createServer().listen(${options}, () => process.stdout.write('ready'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'ignore'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    child.kill('SIGSTOP');
    const waiting = Array.from({ length: 5 }, () => createConnection(socket).on('error', () => {}));
    onTestFinished(() => waiting.forEach((connection) => void connection.destroy()));
    await expect(open(socket)).rejects.toThrow('another process listens there');
  });

  it('is refused in place of a file that is something else', async () => {
    const socket = join(await temporaryDirectory(), 'pgbouncer-0.sock');
    await writeFile(socket, 'precious');
    await expect(open(socket)).rejects.toThrow('there is a file that is not a socket: remove it');
    expect((await lstat(socket)).isFile()).toBe(true);
  });

  it('is refused when its path is longer than the kernel takes', async () => {
    const socket = join(await temporaryDirectory(), `${'x'.repeat(100)}.sock`);
    await expect(open(socket)).rejects.toThrow('sockets allow 107');
  });

  it('closes a directory of ours that is open to everybody', async () => {
    const directory = join(await temporaryDirectory(), 'run');
    await mkdir(directory);
    await chmod(directory, 0o777);
    await open(join(directory, 'pgbouncer-0.sock'));
    expect((await stat(directory)).mode & 0o777).toBe(0o750);
  });

  it('is refused in a directory that somebody else owns', async ({ skip }) => {
    skip(process.getuid?.() !== 0, 'only root can give a directory away');
    const directory = join(await temporaryDirectory(), 'run');
    await mkdir(directory);
    await chown(directory, 65_534, 65_534);
    await expect(open(join(directory, 'pgbouncer-0.sock'))).rejects.toThrow('belongs to user 65534');
  });

  it('is refused with the reason of the system otherwise', async () => {
    const file = join(await temporaryDirectory(), 'file');
    await writeFile(file, '');
    await expect(open(join(file, 'pgbouncer-0.sock'))).rejects.toThrow(/cannot open the API at .*: E/);
  });
});
