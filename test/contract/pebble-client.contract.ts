import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { markOf } from '../../src/infra/files/process-mark.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { openPebble, type Pebble } from '../../src/infra/pebble/client.ts';
import { PebbleError, type Trouble } from '../../src/infra/pebble/trouble.ts';
import { LokiServer } from '../support/loki-server.ts';
import { resourcesInUse, resourcesLeftSince } from '../support/leaks.ts';
import type { PebbleDaemon, PebbleOptions } from '../support/pebble/daemon.ts';
import { healthOf } from '../support/pebble/health.ts';
import { testAccount, testDirectory } from '../support/servers.ts';
import { strangerAt } from '../support/stranger.ts';

/** What the client does with a Pebble, whichever it is. */
export const pebbleClientContract = (
  name: string,
  startDaemon: (options: PebbleOptions) => Promise<PebbleDaemon>,
): void => {
  describe(name, () => {
    let daemon: PebbleDaemon;
    let pebble: Pebble;
    beforeAll(async () => {
      daemon = await startDaemon({ directory: await testDirectory('pd-'), environment });
      pebble = openPebble(daemon.socket);
    });
    afterAll(async () => {
      await daemon[Symbol.asyncDispose]();
    });
    let directory: string;
    beforeEach(async () => {
      directory = await testDirectory('pf-');
    });
    const at = (...path: readonly string[]): string => join(directory, ...path);
    const started: string[] = [];
    let numbered = 0;
    /** A service of this test; it is stopped when the test ends. */
    const service = async (config: Readonly<Record<string, unknown>>): Promise<string> => {
      numbered += 1;
      const service = `service-${numbered}`;
      await pebble.addLayer('tests', { services: { [service]: { override: 'replace', ...config } } }, never);
      started.push(service);
      return service;
    };
    const act = async (action: 'start' | 'stop' | 'restart', ...names: readonly string[]) =>
      pebble.ended(await pebble.act(action, names, never), 20_000, never);
    const current = async (one: string): Promise<string | undefined> =>
      (await pebble.services([one], never))[0]?.current;
    afterEach(async () => {
      if (started.length > 0) await act('stop', ...started.splice(0));
    });

    it('says who it is', async () => {
      const info = await pebble.systemInfo(never);
      expect(info.version).toMatch(/./);
      expect(info['boot-id']).toMatch(/./);
    });

    describe('files', () => {
      it.each(['plain.ini', 'with "quotes" and \\.txt', 'größe=1;2&3.ini'])(
        'come back as they were written: %s',
        async (file) => {
          const content = 'one\r\n--two\n\n"three"\0grün\r\n';
          expect(await pebble.writeFiles([{ path: at(file), content, permissions: '400' }], never)).toEqual([
            { path: at(file) },
          ]);
          expect(await pebble.readFiles([at(file)], never)).toEqual([{ kind: 'read', content }]);
          expect((await stat(at(file))).mode & 0o777).toBe(0o400);
          expect(await readFile(at(file), 'utf8')).toBe(content);
        },
      );

      it('are replaced whole, those that can be', async () => {
        await pebble.writeFiles([{ path: at('a'), content: 'old', permissions: '400' }], never);
        const before = await stat(at('a'));
        const results = await pebble.writeFiles(
          [
            { path: at('a'), content: 'new' },
            { path: at('no', 'such', 'directory'), content: 'x' },
            { path: 'relative', content: 'x' },
            { path: at('b'), content: '' },
          ],
          never,
        );
        expect(results.map(({ path, error }) => [path, error?.kind])).toEqual([
          [at('a'), undefined],
          [at('no', 'such', 'directory'), 'not-found'],
          ['relative', 'generic-file-error'],
          [at('b'), undefined],
        ]);
        expect(await readFile(at('a'), 'utf8')).toBe('new');
        expect((await stat(at('a'))).ino).not.toBe(before.ino);
        expect((await stat(at('a'))).mode & 0o777).toBe(0o644);
      });

      it('are read side by side, each with its own fate, also those that the kernel makes', async () => {
        await writeFile(at('a'), 'A');
        await mkdir(at('d'));
        const read = await pebble.readFiles([at('none'), at('a'), at('d'), `/proc/${process.pid}/cmdline`], never);
        expect(read).toMatchObject([
          { kind: 'missing' },
          { kind: 'read', content: 'A' },
          { kind: 'unreadable', reason: expect.stringContaining('regular file') },
          { kind: 'read', content: expect.stringContaining('node') },
        ]);
        expect(await pebble.readFiles([], never)).toEqual([]);
      });

      it('are listed', async () => {
        await writeFile(at('a.ini'), 'A', { mode: 0o600 });
        await writeFile(at('b.txt'), 'BB');
        await mkdir(at('d'));
        const uid = process.getuid?.();
        expect(await pebble.listFiles(directory, never)).toMatchObject([
          { path: at('a.ini'), name: 'a.ini', type: 'file', size: 1, permissions: '600', 'user-id': uid },
          { name: 'b.txt', type: 'file', size: 2 },
          { name: 'd', type: 'directory' },
        ]);
        expect((await pebble.listFiles(directory, never, '*.ini'))?.map(({ name: file }) => file)).toEqual(['a.ini']);
        expect(await pebble.listFiles(at('b.txt'), never)).toMatchObject([{ name: 'b.txt', type: 'file' }]);
        expect(await pebble.listFiles(at('none'), never)).toBeNull();
      });

      it('have directories, which are made and kept', async () => {
        const made = await pebble.makeDirectories(
          [
            { path: at('a', 'b', 'c'), withParents: true, permissions: '700' },
            { path: at('x', 'y') },
            { path: at('a') },
            { path: at('a'), withParents: true, permissions: '711' },
          ],
          never,
        );
        expect(made.map(({ error }) => error?.kind)).toEqual([undefined, 'not-found', 'generic-file-error', undefined]);
        expect((await stat(at('a', 'b', 'c'))).mode & 0o777).toBe(0o700);
        expect((await stat(at('a'))).mode & 0o777).not.toBe(0o711);
      });

      it('are removed', async () => {
        await mkdir(at('d', 'e'), { recursive: true });
        await writeFile(at('d', 'f'), '');
        const removed = await pebble.removePaths(
          [
            { path: at('none') },
            { path: at('none'), recursive: true },
            { path: at('d') },
            { path: at('d', 'f') },
            { path: at('d'), recursive: true },
          ],
          never,
        );
        expect(removed.map(({ error }) => error?.kind)).toEqual([
          'not-found',
          undefined,
          'generic-file-error',
          undefined,
          undefined,
        ]);
        expect(await pebble.listFiles(at('d'), never)).toBeNull();
      });

      it.skipIf(process.getuid?.() !== 0)('belong to the account named', async () => {
        const { name: user, uid, gid } = testAccount();
        await pebble.writeFiles([{ path: at('f'), content: '', permissions: '400', user }], never);
        await pebble.makeDirectories([{ path: at('d'), user, permissions: '700' }], never);
        for (const path of [at('f'), at('d')]) expect(await stat(path)).toMatchObject({ uid, gid });
        const stranger = { path: at('g'), content: '', user: 'no-such-account' };
        expect(await pebble.writeFiles([stranger], never)).toMatchObject([{ error: { kind: 'generic-file-error' } }]);
        expect(await pebble.listFiles(at('g'), never)).toBeNull();
      });
    });

    describe('layers', () => {
      it('are merged into one plan, item by item', async () => {
        await pebble.addLayer(
          'l',
          { services: { l1: { override: 'replace', command: 'sleep 1', startup: 'disabled' } } },
          never,
        );
        await pebble.addLayer(
          'l',
          { services: { l1: { override: 'merge', summary: 'one' }, l2: { override: 'replace', command: 'sleep 2' } } },
          never,
        );
        expect(parse(await pebble.plan(never))).toMatchObject({
          services: { l1: { command: 'sleep 1', startup: 'disabled', summary: 'one' }, l2: { command: 'sleep 2' } },
        });
        expect(await pebble.services(['l1', 'l2'], never)).toEqual([
          { name: 'l1', startup: 'disabled', current: 'inactive' },
          { name: 'l2', startup: 'disabled', current: 'inactive' },
        ]);
      });

      it.each([
        ['an unknown key', { services: { x: { override: 'replace', command: 'true', colour: 'red' } } }, /colour/],
        [
          'an item without override',
          { services: { x: { command: 'true' } } },
          /must define "override" for service "x"/,
        ],
        [
          'a service without a command',
          { services: { x: { override: 'replace' } } },
          /must define "command" for service "x"/,
        ],
      ])('are refused with %s, and change nothing', async (_, layer, words) => {
        const before = await pebble.plan(never);
        await expect(pebble.addLayer('bad', layer, never)).rejects.toThrow(words);
        expect(await troubleOf(pebble.addLayer('bad', layer, never))).toMatchObject({ kind: 'refused', status: 400 });
        expect(await pebble.plan(never)).toBe(before);
      });
    });

    describe('log targets', () => {
      const target = (location: string, services: readonly string[]) => ({
        'log-targets': { loki: { override: 'replace', type: 'loki', location, services, labels: { of: 'a test' } } },
      });

      it('are sent what services write, go on with where they were first told to, and are turned off with no services', async () => {
        await using loki = await LokiServer.open();
        const one = await service({ command: `sh -c 'while :; do echo said; sleep 0.1; done'` });
        await pebble.addLayer('logs', target(loki.url, [one]), never);
        await act('start', one);
        await loki.until(({ labels, line }) => labels['of'] === 'a test' && line === 'said');
        expect(loki.said[0]?.labels).toEqual({ of: 'a test', pebble_service: one });
        await using other = await LokiServer.open();
        await pebble.addLayer('logs', target(other.url, [one]), never);
        const count = loki.said.length;
        await loki.until(() => loki.said.length > count);
        expect(other.said).toEqual([]);
        await pebble.addLayer('logs', target(other.url, []), never);
        expect(parse(await pebble.plan(never))['log-targets']).toMatchObject({ loki: { services: [] } });
        await act('stop', one);
      });

      it.each([
        ['of a service that is not there', target('http://127.0.0.1:1', ['nobody']), /unknown service "nobody"/],
        ['without a location', target('', []), /must define "location" for log target "loki"/],
      ])('are refused when %s', async (_, layer, words) => {
        await expect(pebble.addLayer('bad-logs', layer, never)).rejects.toThrow(words);
      });
    });

    describe('services', () => {
      it('start, stop and start again', async () => {
        const one = await service({ command: 'sleep 1000' });
        expect(await current(one)).toBe('inactive');
        await act('start', one);
        expect(await current(one)).toBe('active');
        await act('start', one);
        await act('restart', one);
        expect(await current(one)).toBe('active');
        await act('stop', one);
        await act('stop', one);
        expect(await current(one)).toBe('inactive');
      });

      it('get their directory, their environment and their account', async () => {
        const user = process.getuid?.() === 0 ? { user: testAccount().name } : {};
        const command = `sh -c 'echo "$GREETING" > "said by $(id -u)"; sleep 1000'`;
        const one = await service({
          command,
          'working-dir': directory,
          environment: { GREETING: 'it works' },
          ...user,
        });
        await act('start', one);
        expect(await readFile(at(`said by ${testAccount().uid}`), 'utf8')).toBe('it works\n');
      });

      it('that end at once fail their start, with their last words', async () => {
        const one = await service({ command: `sh -c 'echo some last words >&2; exit 3'`, 'on-failure': 'ignore' });
        await expect(act('start', one)).rejects.toThrow(/exited quickly with code 3[^]*some last words/);
        expect(await troubleOf(act('start', one))).toMatchObject({ kind: 'change', change: { status: 'Error' } });
        expect(await current(one)).toBe('error');
      });

      it('that cannot be run fail their start', async () => {
        const one = await service({ command: '/no/such/program' });
        expect(await troubleOf(act('start', one))).toMatchObject({ kind: 'change' });
      });

      it('are refused when the plan does not have them', async () => {
        await expect(act('start', 'no-such')).rejects.toThrow(/service "no-such" does not exist/);
        expect(await troubleOf(act('start', 'no-such'))).toMatchObject({ kind: 'refused', status: 400 });
      });

      it('are started again when they fail, after a delay, and left alone when they are done', async () => {
        const command = `sh -c 'echo $$ >> pids; exec sleep 1000'`;
        const restarting = { 'on-success': 'ignore', 'on-failure': 'restart', 'backoff-delay': '300ms' };
        const one = await service({ command, 'working-dir': directory, ...restarting });
        await act('start', one);
        const pids = async () => (await readFile(at('pids'), 'utf8')).trim().split('\n');
        await pebble.signal('SIGKILL', [one], never);
        await expect.poll(() => current(one)).toBe('backoff');
        await expect.poll(pids).toHaveLength(2);
        await expect.poll(() => current(one)).toBe('active');
        const done = await service({
          command: `sh -c 'trap "exit 0" HUP; while :; do sleep 0.05; done'`,
          ...restarting,
        });
        await act('start', done);
        await pebble.signal('SIGHUP', [done], never);
        await expect.poll(() => current(done)).toBe('inactive');
      });

      it('in backoff start at once when they are told to, and stay away when they are stopped', async () => {
        const one = await service({ command: 'sleep 1000', 'backoff-delay': '1h', 'backoff-limit': '2h' });
        await act('start', one);
        await pebble.signal('SIGKILL', [one], never);
        await expect.poll(() => current(one)).toBe('backoff');
        await act('start', one);
        expect(await current(one)).toBe('active');
        await pebble.signal('SIGKILL', [one], never);
        await expect.poll(() => current(one)).toBe('backoff');
        await act('stop', one);
        expect(await current(one)).toBe('inactive');
      });

      it('that do not heed SIGTERM are killed', async () => {
        const command = `sh -c 'trap "" TERM; while :; do sleep 0.1; done'`;
        const one = await service({ command, 'kill-delay': '200ms' });
        await act('start', one);
        await act('stop', one);
        expect(await current(one)).toBe('inactive');
      });

      it('that do not run take no signal', async () => {
        const one = await service({ command: 'sleep 1000' });
        await expect(pebble.signal('SIGHUP', [one], never)).rejects.toThrow(/service is not running/);
      });

      it('are started by a replan when enabled, and restarted when their plan changed', async () => {
        const one = await service({ command: 'sleep 1000', startup: 'enabled' });
        const other = await service({ command: 'sleep 1001', startup: 'disabled' });
        await pebble.ended(await pebble.replan(never), 20_000, never);
        expect([await current(one), await current(other)]).toEqual(['active', 'inactive']);
        const command = `sh -c 'echo changed > changed; sleep 1000'`;
        const changed = { override: 'merge', command, 'working-dir': directory, startup: 'disabled' };
        await pebble.addLayer('tests', { services: { [one]: changed } }, never);
        await pebble.ended(await pebble.replan(never), 20_000, never);
        expect(await readFile(at('changed'), 'utf8')).toBe('changed\n');
      });

      it('leave their lines in a log, oldest first', async () => {
        const one = await service({ command: `sh -c 'echo first; echo second >&2; sleep 1000'` });
        await act('start', one);
        const logs = await pebble.logs([one], 10, never);
        expect(logs.map(({ service: from, message }) => [from, message])).toEqual([
          [one, 'first'],
          [one, 'second'],
        ]);
        expect((await pebble.logs([one], 1, never)).map(({ message }) => message)).toEqual(['second']);
        expect(Date.parse(logs[0]?.time ?? '')).toBeGreaterThan(Date.now() - 60_000);
      });
    });

    describe('commands', () => {
      it('tell what they say and how they end', async () => {
        const command = ['sh', '-c', 'echo out; echo err >&2; exit 7'];
        expect(await pebble.exec({ command, withinMs: 10_000 }, never)).toEqual({
          stdout: 'out\n',
          stderr: 'err\n',
          exitCode: 7,
        });
      });

      it('get their input, their environment, their directory and their account', async () => {
        const user = process.getuid?.() === 0 ? { user: testAccount().name } : {};
        const command = ['sh', '-c', 'cat; echo "$GREETING $(pwd) $(id -u)"'];
        const { stdout } = await pebble.exec(
          {
            command,
            environment: { GREETING: 'hello' },
            workingDirectory: directory,
            withinMs: 10_000,
            input: 'in\n',
            ...user,
          },
          never,
        );
        expect(stdout).toBe(`in\nhello ${directory} ${testAccount().uid}\n`);
      });

      it('run in the root directory, when no other is asked for', async () => {
        const user = process.getuid?.() === 0 ? { user: 'nobody' } : {}; // Its home is not there.
        expect((await pebble.exec({ command: ['pwd'], withinMs: 10_000, ...user }, never)).stdout).toBe('/\n');
      });

      it('leave nothing open when they have ended', async () => {
        await pebble.exec({ command: ['true'], withinMs: 10_000 }, never);
        const before = resourcesInUse();
        await pebble.exec({ command: ['true'], withinMs: 10_000 }, never);
        expect(await resourcesLeftSince(before, 5_000)).toEqual([]); // A goodbye would be waited for for 30 s.
      });

      it('may say much', async () => {
        const { stdout } = await pebble.exec({ command: ['seq', '100000'], withinMs: 20_000 }, never);
        expect(stdout.trim().split('\n')).toHaveLength(100_000);
      });

      it('that take too long are ended', async () => {
        const slow = pebble.exec({ command: ['sleep', '1000'], withinMs: 300 }, never);
        await expect(slow).rejects.toThrow(/timed out/);
        expect(await troubleOf(slow)).toMatchObject({ kind: 'change' });
      });

      it('that are not there are refused', async () => {
        const none = pebble.exec({ command: ['no-such-program'], withinMs: 1_000 }, never);
        await expect(none).rejects.toThrow(/cannot find executable "no-such-program"/);
        expect(await troubleOf(none)).toMatchObject({ kind: 'refused', status: 400 });
      });

      it('that nobody waits for any more are killed', async () => {
        const cancel = new AbortController();
        const command = ['sh', '-c', 'echo $$ > pid; exec sleep 1000'];
        const waiting = pebble.exec({ command, workingDirectory: directory, withinMs: 60_000 }, cancel.signal);
        const pid = await expect
          .poll(() => readFile(at('pid'), 'utf8').catch(() => ''))
          .toMatch(/\d/)
          .then(() => readFile(at('pid'), 'utf8'));
        cancel.abort();
        expect(await troubleOf(waiting)).toEqual({ kind: 'cancelled' });
        await expect.poll(() => isThere(Number(pid))).toBe(false);
      });
    });

    it('keeps notices, each key once', async () => {
      const key = 'example.com/tests/one';
      const id = await pebble.notify(key, { a: '1' }, never);
      expect(await pebble.notify(key, { a: '2' }, never)).toBe(id);
      const [notice, ...others] = await pebble.notices({ types: ['custom'], keys: [key] }, never);
      expect([notice, ...others]).toMatchObject([{ id, type: 'custom', key, occurrences: 2, 'last-data': { a: '2' } }]);
      expect(await pebble.notices({ keys: [key], after: notice?.['last-repeated'] ?? '' }, never)).toEqual([]);
    });

    it('makes checks, and tells of them, also Kubernetes and whoever listens for notices', async () => {
      const port = await freePort(['127.0.0.1']);
      const check = { override: 'replace', period: '100ms', timeout: '90ms', threshold: 2 };
      const door = { ...check, level: 'ready', tcp: { host: '127.0.0.1', port } };
      const aside = { ...check, tcp: { host: '127.0.0.1', port: 1 } };
      await pebble.addLayer('checks', { checks: { aside, door } }, never);
      const statuses = async () => (await pebble.checks(never)).map(({ name, level, status }) => [name, level, status]);
      await expect.poll(statuses).toEqual([
        ['aside', undefined, 'down'],
        ['door', 'ready', 'down'],
      ]);
      expect(await healthOf(daemon.socket, 'ready')).toBe(502);
      expect(await healthOf(daemon.socket, 'alive')).toBe(200);
      const stranger = await strangerAt('127.0.0.1', port);
      await expect.poll(async () => (await statuses())[1]).toEqual(['door', 'ready', 'up']);
      expect(await healthOf(daemon.socket, 'ready')).toBe(200);
      await stranger[Symbol.asyncDispose]();
      await expect.poll(async () => (await statuses())[1]).toEqual(['door', 'ready', 'down']);
      const told = (await pebble.notices({ types: ['change-update'] }, never)).flatMap(({ key, 'last-data': data }) =>
        data?.['check-name'] === 'door' ? [{ key, kind: data['kind'] }] : [],
      );
      const ends = await Promise.all(
        told.map(async ({ key, kind }) => [kind, (await pebble.change(key, never)).status] as const),
      );
      expect(ends).toEqual(
        expect.arrayContaining([
          ['perform-check', 'Error'],
          ['recover-check', 'Done'],
        ]),
      );
      // One that another layer says the same of goes on as it is.
      await pebble.addLayer('checks', { checks: { door } }, never);
      expect((await statuses())[1]).toEqual(['door', 'ready', 'down']);
      // And as it is told otherwise it begins anew.
      await pebble.addLayer('checks', { checks: { door: { ...door, threshold: 1_000 } } }, never);
      expect((await statuses())[1]).toEqual(['door', 'ready', 'up']);
    });

    it('tells of a change that never was', async () => {
      expect(await troubleOf(pebble.change('999999', never))).toMatchObject({ kind: 'refused', status: 404 });
    });

    it('gives up on a change that takes longer than anybody waits', async () => {
      const command = `sh -c 'trap "" TERM; while :; do sleep 0.1; done'`;
      const one = await service({ command, 'kill-delay': '1s' });
      await act('start', one);
      const id = await pebble.act('stop', [one], never);
      expect(await troubleOf(pebble.ended(id, 50, never))).toEqual({ kind: 'away' });
      expect((await pebble.ended(id, 20_000, never)).ready).toBe(true);
    });

    it('takes a question back', async () => {
      expect(await troubleOf(pebble.systemInfo(AbortSignal.abort()))).toEqual({ kind: 'cancelled' });
    });

    it('is away when its container is, and back without layers, with everything it ran gone', async () => {
      const command = `sh -c 'echo $$ > pid; exec sleep 1000'`;
      const one = await service({ command, 'working-dir': directory });
      await act('start', one);
      const pid = Number(await readFile(at('pid'), 'utf8'));
      await daemon.kill();
      started.length = 0;
      expect(await troubleOf(pebble.systemInfo(never))).toEqual({ kind: 'away' });
      expect(isThere(pid)).toBe(false);
      await daemon.startAgain();
      expect(await pebble.services([], never)).toEqual([]);
      expect(parse(await pebble.plan(never))?.services ?? {}).toEqual({});
    });
  });
};

const never = new AbortController().signal;
const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' };

const troubleOf = async (work: Promise<unknown>): Promise<Trouble> => {
  const cause = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(cause instanceof PebbleError)) throw new Error(`no trouble with Pebble: ${String(cause)}`);
  return cause.trouble;
};

const isThere = (pid: number): boolean => markOf(pid) !== null;
