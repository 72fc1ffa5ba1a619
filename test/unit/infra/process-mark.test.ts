import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { isAlive, markOf } from '../../../src/infra/files/process-mark.ts';

const hasPython = spawnSync('python3', ['--version']).status === 0;
const where = hasPython ? '' : ' (not tried: there is no python3)';

/** Its first thread ends, and another one goes on until its input ends. */
const outlived = `
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).pthread_exit(None)
`;

it.skipIf(!hasPython)(`a process has ended with the last of its threads, not with the first${where}`, async () => {
  const child = spawn('python3', ['-c', outlived], { stdio: ['pipe', 'ignore', 'inherit'] });
  const exit = once(child, 'exit');
  const { pid = 0 } = child;
  const mark = markOf(pid);
  if (mark === null) throw new Error('it did not start');
  await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(') Z ');
  expect(isAlive(mark)).toBe(true);
  child.stdin.end();
  await exit;
  expect(isAlive(mark)).toBe(false);
  expect(markOf(pid)).toBeNull();
});

it('a process that only waits to be reaped has ended', async () => {
  // The shell becomes one that reaps nobody.
  const child = spawn('sh', ['-c', 'true & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said] = await once(child.stdout, 'data');
  const pid = Number(String(said));
  await expect.poll(() => readFileSync(`/proc/${pid}/stat`, 'utf8')).toContain(') Z ');
  expect(markOf(pid)).toBeNull();
  child.kill('SIGKILL');
  await once(child, 'exit');
});
