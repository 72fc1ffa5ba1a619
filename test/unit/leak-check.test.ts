import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';

const check = join(import.meta.dirname, '../support/leak-check.ts');
const vitest = join(import.meta.dirname, '../../node_modules/vitest/vitest.mjs');

/** A run of one test file under the check. */
const runOf = async (body: string): Promise<{ readonly code: number; readonly said: string }> => {
  const root = mkdtempSync(join(tmpdir(), 'troupe-leaking-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  writeFileSync(join(root, 'planted.test.mjs'), `import net from 'node:net';\n${body}\n`);
  const settings = { include: ['planted.test.mjs'], globals: true, setupFiles: [check], cache: false };
  writeFileSync(join(root, 'vitest.config.mjs'), `export default { test: ${JSON.stringify(settings)} };\n`);
  const env = { PATH: process.env['PATH'], XDG_DATA_HOME: root, NO_COLOR: '1' };
  const run = promisify(execFile)(process.execPath, [vitest, 'run', '--configLoader=native', '--root', root], {
    cwd: root,
    env,
  });
  return run.then(
    ({ stdout, stderr }) => ({ code: 0, said: stdout + stderr }),
    ({ code, stdout, stderr }) => ({ code, said: String(stdout) + String(stderr) }),
  );
};

it('a test file that leaves a server or a timer behind fails, though each of its tests passed', async () => {
  const { code, said } = await runOf(`
    it('opens', () => new Promise((resolve) => net.createServer().listen(0, '127.0.0.1', resolve)));
    it('waits', () => void setInterval(() => {}, 60_000));
  `);
  expect(said).toMatch(/this file left in use: (?:TCPServerWrap, Timeout|Timeout, TCPServerWrap)/);
  expect(said).toContain('2 passed');
  expect(code).toBe(1);
});

it('a test file that closes what it opened passes', async () => {
  const { code, said } = await runOf(`
    let server;
    afterAll(() => new Promise((resolve) => server.close(resolve)));
    it('opens', () => new Promise((resolve) => { server = net.createServer().listen(0, '127.0.0.1', resolve); }));
  `);
  expect([code, said]).toEqual([0, expect.stringContaining('1 passed')]);
});
