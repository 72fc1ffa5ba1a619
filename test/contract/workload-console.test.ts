import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../src/actors/model/secret.ts';
import type { Clock } from '../../src/actors/ports/clock.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { consoleAt, openConsole } from '../../src/infra/console/console.ts';
import { afterListening } from '../../src/infra/console/patience.ts';
import { pgbouncerBinaries, testDirectory } from '../support/servers.ts';
import { ProcessMachine } from '../support/workload-machine.ts';
import { address, never, pair, serve } from './workload.contract.ts';

const clock = createSystemClock();

describe('a console that nobody answers', () => {
  let directory: string;
  let server: Server;
  const sockets = new Set<Socket>();
  beforeEach(async () => {
    directory = await testDirectory('c-');
    server = createServer((socket) => {
      sockets.add(socket);
      socket.resume().once('close', () => sockets.delete(socket));
    });
    await new Promise<void>((resolve) => server.listen(join(directory, '.s.PGSQL.6432'), resolve));
  });
  afterEach(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  });

  it('is silent after the time it was given, and keeps no connection', async () => {
    using console = consoleAt(clock, directory, 6432);
    expect(await console.show('version', { withinMs: 100, signal: never })).toEqual({
      kind: 'silent',
      reason: 'no answer within 100 ms',
    });
    await expect.poll(() => sockets.size).toBe(0);
  });

  it('is not waited for by who no longer wants the answer', async () => {
    using console = consoleAt(clock, directory, 6432);
    const cancel = new AbortController();
    const asked = console.show('version', { withinMs: 60_000, signal: cancel.signal });
    await expect.poll(() => sockets.size).toBe(1);
    cancel.abort();
    expect(await asked).toMatchObject({ kind: 'silent' });
    await expect.poll(() => sockets.size).toBe(0);
  });

  it('is silent when the other side hangs up', async () => {
    using console = consoleAt(clock, directory, 6432);
    const asked = console.show('version', { withinMs: 60_000, signal: never });
    await expect.poll(() => sockets.size).toBe(1);
    for (const socket of sockets) socket.destroy();
    expect(await asked).toMatchObject({ kind: 'silent' });
  });

  it('is absent where nobody listens', async () => {
    using console = consoleAt(clock, directory, 6433);
    expect(await console.show('version', { withinMs: 1_000, signal: never })).toMatchObject({ kind: 'absent' });
  });
});

const [own] = await pgbouncerBinaries();
describe.skipIf(own?.run == null)(`the console of PgBouncer ${own?.version}, ${own?.reason ?? 'over TCP'}`, () => {
  it('takes its login and refuses others in its own words, and goes on after a refusal', async () => {
    await using machine = await ProcessMachine.open(own?.version ?? '', own?.run ?? '');
    const port = await machine.freePort([address]);
    const { workload } = await machine.open({ ...pair, instances: 1 });
    await serve(workload, { port, canary: 'gen-1' });
    const { username, password } = await machine.probeOf('a');
    const patience = { withinMs: 2_000, signal: never };

    using stranger = openConsole(clock, { host: address, port, username, password: new Secret('wrong') });
    expect(await stranger.show('version', patience)).toMatchObject({
      kind: 'refused',
      reason: expect.stringMatching(/auth/),
    });

    using console = openConsole(clock, { host: address, port, username, password });
    expect(await console.show('config', patience)).toMatchObject({ kind: 'answered' });
    expect(await console.command('PAUSE', patience)).toMatchObject({ kind: 'refused', reason: 'admin access needed' });
    const clients = await console.show('clients', patience);
    expect(clients).toMatchObject({
      kind: 'answered',
      value: expect.arrayContaining([expect.objectContaining({ user: username })]),
    });
    console.close();
    expect(await console.show('state', patience)).toMatchObject({
      kind: own?.version.startsWith('1.18') ? 'refused' : 'answered',
    });
  });
});

describe('patience', () => {
  /** Time passes when the test says so. */
  class HandClock implements Clock {
    #now = 0;
    #due: { readonly at: number; readonly call: () => void }[] = [];
    now(): number {
      return this.#now;
    }
    wall: Clock['wall'] = () => clock.wall();
    after(ms: number, call: () => void): Disposable {
      const due = { at: this.#now + ms, call };
      this.#due.push(due);
      return { [Symbol.dispose]: () => void (this.#due = this.#due.filter((one) => one !== due)) };
    }
    /** Timers are looked at once, at the end: what happens to a process that is frozen meanwhile. */
    sleep(ms: number): void {
      this.#now += ms;
      const due = this.#due.filter(({ at }) => at <= this.#now);
      this.#due = this.#due.filter(({ at }) => at > this.#now);
      for (const { call } of due) call();
    }
    pass(ms: number): void {
      for (let passed = 0; passed < ms; passed += 10) this.sleep(10);
    }
  }

  it('ends when its time has passed, and not before', () => {
    const hand = new HandClock();
    let ended = false;
    afterListening(hand, 1_000, () => void (ended = true));
    hand.pass(990);
    expect(ended).toBe(false);
    hand.pass(10);
    expect(ended).toBe(true);
  });

  it('begins anew after a time in which nobody could listen', () => {
    const hand = new HandClock();
    let ended = false;
    afterListening(hand, 1_000, () => void (ended = true));
    hand.pass(900);
    hand.sleep(60_000);
    expect(ended).toBe(false);
    hand.pass(990);
    expect(ended).toBe(false);
    hand.pass(10);
    expect(ended).toBe(true);
  });

  it('does not end once it is disposed of', () => {
    const hand = new HandClock();
    let ended = false;
    const patience = afterListening(hand, 1_000, () => void (ended = true));
    hand.pass(500);
    patience[Symbol.dispose]();
    hand.pass(1_000);
    expect(ended).toBe(false);
  });
});
