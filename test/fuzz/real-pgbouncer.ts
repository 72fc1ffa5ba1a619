/** A real PgBouncer that is given one set of files after the other, and says what it made of them. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Layout, PgBouncerVersion, Rendered } from '../../src/actors/model/workload.ts';
import type { Secret } from '../../src/actors/model/secret.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import { type Console, consoleAt, type Show } from '../../src/infra/console/console.ts';
import { dryRunCopy, readDryRun } from '../../src/pgbouncer/dry-run.ts';
import { settingsIn } from '../../src/pgbouncer/ini.ts';
import { takesRestart } from '../../src/pgbouncer/plan.ts';
import type { Shown } from '../../src/pgbouncer/verify.ts';

export interface PgBouncerPlace {
  readonly run: string;
  readonly version: PgBouncerVersion;
  readonly directory: string;
  readonly port: number;
  readonly verifier: Secret;
}

/** After so many sets of files it is started anew: it keeps a little of every login it ever knew. */
const lifetime = 300;

export class RealPgBouncer implements AsyncDisposable {
  readonly version: PgBouncerVersion;
  readonly layout: Layout;
  readonly port: number;
  readonly #place: PgBouncerPlace;
  #child: ChildProcess | null = null;
  #console: Console | null = null;
  #settings: ReadonlyMap<string, string> = new Map();
  #loaded = 0;
  #said = '';

  constructor(place: PgBouncerPlace) {
    const { directory, verifier } = place;
    this.#place = place;
    this.version = place.version;
    this.port = place.port;
    this.layout = {
      listenAddress: '127.0.0.1',
      authFile: join(directory, 'userlist.txt'),
      probe: { username: 'troupe_probe', verifier },
      instances: [{ id: 1, ini: join(directory, 'pgbouncer.ini'), socketDir: directory }],
      retiring: [],
    };
  }

  static async open(place: PgBouncerPlace): Promise<RealPgBouncer> {
    await mkdir(place.directory, { mode: 0o700 });
    return new RealPgBouncer(place);
  }

  /** Null: proven. Else its own words. */
  async objection({ authFile, instances }: Rendered): Promise<string | null> {
    const { run, directory } = this.#place;
    const [auth, file] = [join(directory, 'proof-auth.txt'), join(directory, 'proof.ini')];
    await writeFile(auth, authFile.reveal(), { mode: 0o600 });
    await writeFile(file, dryRunCopy(instances[0]?.ini ?? '', auth), { mode: 0o600 });
    const { code, stderr } = await new Promise<{ readonly code: number | null; readonly stderr: string }>((resolve) => {
      execFile(run, [file], { timeout: 10_000 }, (cause, _, said) => {
        resolve({ code: cause === null ? 0 : typeof cause.code === 'number' ? cause.code : null, stderr: said });
      });
    });
    const verdict = readDryRun(code, stderr);
    return verdict.kind === 'proven' ? null : verdict.reason;
  }

  /** What it shows once it has loaded these files. */
  async load({ authFile, instances }: Rendered): Promise<Shown> {
    await writeFile(this.layout.authFile, authFile.reveal(), { mode: 0o600 });
    const ini = instances[0]?.ini ?? '';
    await writeFile(this.layout.instances[0]?.ini ?? '', ini, { mode: 0o600 });
    this.#loaded += 1;
    const now = settingsIn(ini);
    const isFixed = [...now].some(([key, value]) => takesRestart(key) && this.#settings.get(key) !== value);
    this.#settings = now;
    if (this.#child === null || isFixed || this.#loaded % lifetime === 0) await this.#restart();
    else await this.#reload();
    return {
      config: await this.#show('config'),
      databases: await this.#show('databases'),
      users: await this.#show('users'),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#console?.close();
    if (this.#child === null || this.#child.exitCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }

  async #restart(): Promise<void> {
    await this[Symbol.asyncDispose]();
    const { run, directory, port } = this.#place;
    this.#said = '';
    this.#child = spawn(run, [this.layout.instances[0]?.ini ?? ''], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = `${this.#said}${text}`.slice(-2_000);
    });
    this.#console = consoleAt(clock, directory, port);
    for (let tries = 0; (await this.#console.show('version', patience())).kind !== 'answered'; tries += 1) {
      if (this.#child.exitCode !== null || tries > 200) throw new Error(`PgBouncer does not start: ${this.#said}`);
      await delay(20);
    }
  }

  async #reload(): Promise<void> {
    const answer = await this.#console?.command('RELOAD', patience());
    if (answer?.kind !== 'answered') throw new Error(`RELOAD: ${answer?.reason}\n${this.#said}`);
  }

  async #show(what: Show): Promise<Shown['config']> {
    const answer = await this.#console?.show(what, patience());
    if (answer?.kind !== 'answered') throw new Error(`SHOW ${what}: ${answer?.reason}\n${this.#said}`);
    return answer.value;
  }
}

const clock = createSystemClock();
const patience = () => ({ withinMs: 20_000, signal: new AbortController().signal });
