/**
 * The pod of one unit: a charm container, in which Juju runs dispatches, and a workload container, whose first process is a Pebble.
 * They share a network and the directory of Pebble's socket, as Juju makes it, and nothing else. Neither sees this checkout, but for
 * the small Pebble, which is a part of it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { openPebble } from '../../../src/infra/pebble/client.ts';
import { PebbleError } from '../../../src/infra/pebble/trouble.ts';
import type { ExporterProgram } from '../exporter.ts';
import type { Account, Within } from '../juju/dispatch-run.ts';
import { untilAnswers } from '../pebble/until-answers.ts';
import type { PebbleProgram } from '../pebble/program.ts';
import type { Cluster, Place } from './cluster.ts';

export interface PodOptions {
  /** Its host name. */
  readonly name: string;
  readonly address: string;
  /** An empty directory for it. */
  readonly home: string;
  readonly pebble: PebbleProgram;
  /** Program of a PgBouncer. */
  readonly pgbouncer: string;
  /** What else the image of the workload has on its path. */
  readonly exporter: ExporterProgram | null;
  /** The directory that Kubernetes mounts as the service account. */
  readonly account: string;
  /** As whom dispatches run; root when null. */
  readonly dispatchesAs: Account | null;
}

export class Pod implements AsyncDisposable {
  readonly address: string;
  readonly #place: Place;
  readonly #options: PodOptions;
  readonly #shared: string;
  #workload: ChildProcess | null = null;
  /** By its Pebbles, one after the other. */
  #said = '';

  private constructor(place: Place, options: PodOptions) {
    this.#place = place;
    this.#options = options;
    this.address = options.address;
    this.#shared = join(options.home, 'pebble');
  }

  static async start(cluster: Cluster, options: PodOptions): Promise<Pod> {
    const shared = join(options.home, 'pebble');
    await mkdir(shared, { recursive: true });
    await chmod(shared, 0o755);
    await writeFile(join(shared, identities), identitiesOf(options.dispatchesAs));
    const script = charmContainer(options, shared, cluster.hosts);
    const pod = new Pod(await cluster.place(options.address, ['--uts'], script), options);
    await pod.startWorkload();
    return pod;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killWorkload();
    await this.#place.end();
  }

  /** A dispatch in the charm container. */
  within(directory: string): Within {
    const { pid } = this.#place;
    const { dispatchesAs: account } = this.#options;
    const as = account === null ? [] : [`--setuid=${account.uid}`, `--setgid=${account.gid}`];
    return [nsenter, `--target=${pid}`, '--net', '--uts', '--mount', '--root', `--wdns=${directory}`, ...as];
  }

  /** Cut off from all others, or there again. */
  reach(isReached: boolean): Promise<void> {
    return this.#place.reach(isReached);
  }

  /** What PgBouncers have on disk, by path: only what says what they do, and no paths of sockets. */
  async files(): Promise<ReadonlyMap<string, string>> {
    if (this.#workload === null) return new Map();
    const root = join(await this.#root(), 'var/lib/pgbouncer');
    const found = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []); // Nothing was written yet.
    const files = found.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
    const read = files.map(async (path) => [path.slice(root.length), await readFile(path, 'utf8')] as const);
    return new Map(await Promise.all(read));
  }

  /** Command lines in the workload container, by process id as it is there. */
  async processes(): Promise<ReadonlyMap<number, string>> {
    if (this.#workload === null) return new Map();
    const proc = join(await this.#root(), 'proc');
    const pids = (await readdir(proc)).filter((name) => /^\d+$/.test(name));
    const read = pids.map(async (pid) => {
      const command = await readFile(join(proc, pid, 'cmdline'), 'utf8').catch(() => ''); // It has ended meanwhile.
      return [Number(pid), command.replaceAll('\0', ' ').trim()] as const;
    });
    return new Map(await Promise.all(read));
  }

  /** What Pebble runs and with what, as it tells everybody; what that has logged; and what Pebble itself said since this was asked last. */
  async told(): Promise<readonly (readonly [where: string, text: string])[]> {
    const { name } = this.#options;
    const end = this.#said.lastIndexOf('\n') + 1;
    const said = [[`what Pebble of ${name} said`, this.#said.slice(0, end)] as const];
    this.#said = this.#said.slice(end);
    if (this.#workload === null) return said;
    const pebble = openPebble(join(this.#shared, 'pebble.socket'));
    const soon = AbortSignal.timeout(5_000);
    try {
      const [plan, logs] = await Promise.all([pebble.plan(soon), pebble.logs([], everyLine, soon)]);
      const lines = logs.map(({ service, message }) => [`the log of ${service} of ${name}`, message] as const);
      return [...said, [`the plan of Pebble of ${name}`, plan], ...lines];
    } catch (cause) {
      if (!(cause instanceof PebbleError)) throw cause;
      return said; // It has ended.
    }
  }

  /** In whose network it is. */
  get pid(): number {
    return this.#place.pid;
  }

  /** Process ids of its PgBouncers. */
  async pgbouncers(): Promise<readonly number[]> {
    return [...(await this.processes())].flatMap(([pid, command]) =>
      /^\S*pgbouncer \S*\.ini$/.test(command) ? [pid] : [],
    );
  }

  /** The program in the container is another one: it refuses every configuration, or is the one it was. */
  async replaceProgram(how: 'refuses' | 'works'): Promise<void> {
    const { pgbouncer } = this.#options;
    const path = join(await this.#root(), 'usr/local/sbin/pgbouncer');
    await rm(path);
    if (how === 'works') await copyFile(pgbouncer, path);
    else {
      const version = `case "$*" in *--version*) exec ${quoted(pgbouncer)} --version ;; esac`;
      await writeFile(path, `#!/bin/sh\n${version}\necho "FATAL no such thing" >&2\nexit 1\n`);
    }
    await chmod(path, 0o755);
  }

  async #hear(stream: Readable): Promise<string> {
    let heard = '';
    for await (const part of stream.setEncoding('utf8')) {
      heard += String(part);
      this.#said += String(part);
    }
    return heard;
  }

  /** Of the workload container, as this machine sees it. */
  async #root(): Promise<string> {
    const pid = this.#workload?.pid;
    if (pid === undefined) throw new Error('the workload container is not there');
    const [first] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ');
    return `/proc/${first}/root`;
  }

  /** The workload container alone ends, without a word. */
  async killWorkload(): Promise<void> {
    const container = this.#workload;
    this.#workload = null;
    if (container === null || container.exitCode !== null) return;
    const gone = once(container, 'close');
    container.kill('SIGKILL');
    await gone;
  }

  /** A new container, with nothing of the one before. */
  async startWorkload(): Promise<void> {
    const { pebble, home } = this.#options;
    const script = workloadContainer(this.#options, this.#shared);
    const apart = ['--mount', '--pid', '--fork', '--kill-child=KILL', '--propagation', 'private'];
    const command = [...enter(this.#place), 'unshare', ...apart, 'sh', '-euc', script];
    const container = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
      cwd: home,
      env: { PATH: path, LANG: 'C.UTF-8', ...pebble.environment(inContainer) },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#workload = container;
    const said = Promise.all([container.stdout, container.stderr].map((stream) => this.#hear(stream)));
    await untilAnswers(
      join(this.#shared, 'pebble.socket'),
      container,
      async () => `the workload container ended: ${(await said).join('').trim()}`,
    );
  }
}

const everyLine = 1_000;

const nsenter = '/usr/bin/nsenter';
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const inContainer = '/charm/container';

const identities = 'identities.yaml';
/** As Juju does where hooks do not run as root. */
const identitiesOf = (account: Account | null): string =>
  JSON.stringify({ identities: { charm: { access: 'admin', local: { 'user-id': account?.uid ?? 0 } } } });

const enter = ({ pid }: Place): readonly string[] => ['nsenter', `--target=${pid}`, '--net', '--uts'];

const quoted = (word: string): string => `'${word.replaceAll("'", `'"'"'`)}'`;

/** A new root with the programs of this machine in it, and nothing else. */
const newRoot = (root: string): readonly string[] => [
  `root=${quoted(root)}`,
  'mkdir -p "$root"',
  'mount -t tmpfs -o mode=755 tmpfs "$root"',
  'for name in bin sbin lib lib32 lib64 libx32 usr etc dev; do',
  '  if [ -L "/$name" ]; then cp -P "/$name" "$root/"',
  '  elif [ -d "/$name" ]; then mkdir "$root/$name"; mount --rbind "/$name" "$root/$name"; fi',
  'done',
  'mkdir -p "$root/proc" "$root/run" "$root/var/lib" "$root/tmp"',
  'chmod 1777 "$root/tmp"',
  'mount -t proc proc "$root/proc"',
  'put() { mkdir -p "$root$2"; mount --bind "$1" "$root$2"; }',
];

/** Juju's own are below the directory for temporary files: the charm, the hook tools, and the socket that they speak to. */
const charmContainer = ({ name, home, account }: PodOptions, shared: string, hosts: string): string =>
  [
    ...newRoot(join(home, 'charm')),
    `printf %s ${quoted(name)} > /proc/sys/kernel/hostname`,
    `put ${quoted(tmpdir())} ${quoted(tmpdir())}`,
    `put ${quoted(shared)} /charm/containers/pgbouncer`,
    `put ${quoted(account)} /var/run/secrets/kubernetes.io/serviceaccount`,
    `mount --bind ${quoted(hosts)} "$root/etc/hosts"`,
    'exec chroot "$root" cat',
  ].join('\n');

const workloadContainer = ({ home, pebble, pgbouncer, exporter }: PodOptions, shared: string): string =>
  [
    ...newRoot(join(home, 'workload')),
    `put ${quoted(shared)} ${inContainer}`,
    ...[...new Set([...pebble.needs, ...(exporter?.needs ?? [])])].map(
      (needed) => `put ${quoted(needed)} ${quoted(needed)}`,
    ),
    // A program of another distribution has its libraries beside it.
    `put ${quoted(dirname(pgbouncer))} ${quoted(dirname(pgbouncer))}`,
    'mount -t tmpfs tmpfs "$root/usr/local/sbin"',
    `cp ${quoted(pgbouncer)} "$root/usr/local/sbin/pgbouncer"`,
    ...(exporter === null ? [] : [`cp ${quoted(exporter.path)} "$root/usr/local/sbin/pgbouncer_exporter"`]),
    `exec chroot "$root" ${pebble.command(inContainer, `${inContainer}/${identities}`).map(quoted).join(' ')}`,
  ].join('\n');
