import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, inject } from 'vitest';
import type { z } from 'zod';
import { credentialsSchema } from '../../src/api/change.ts';
import { fleetStatusSchema } from '../../src/api/status.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { docker } from './docker.ts';
import { newProject, projectLabel } from './e2e-things.ts';
import { keepWords } from './kept-words.ts';

export type Status = z.output<typeof fleetStatusSchema>;
export type Login = z.output<typeof credentialsSchema>;

export interface Container {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly health: string;
}

/** By the id that it has outside of its container. */
export interface Process {
  readonly pid: number;
  readonly command: string;
}

export interface ComposeOptions {
  /** Of the units; without it the one with the PgBouncer of Debian 13. */
  readonly image?: string;
  /** Further files of ours, each over those before it. */
  readonly files?: readonly string[];
  /** Further TROUPE_* values of the units. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Up before the first test, removed after the last; what its services said is kept for each test that fails. */
export const useComposeFleet = (options: ComposeOptions = {}): (() => ComposeFleet) => {
  let fleet: ComposeFleet | undefined;
  beforeAll(async () => {
    fleet = await ComposeFleet.create(options);
    await fleet.up();
  });
  afterEach(async ({ task: { name, result } }) => {
    if (result?.state === 'fail' && fleet !== undefined) keepWords(name, await fleet.words());
  });
  afterAll(async () => {
    await fleet?.[Symbol.asyncDispose]();
  });
  return () => {
    if (fleet === undefined) throw new Error('the fleet is there only while tests run');
    return fleet;
  };
};

/** The fleet of `docker-compose.yml`, as a stranger starts it, under a name and at a port of its own. */
export class ComposeFleet implements AsyncDisposable {
  /** Where HAProxy is, on this machine. */
  readonly port: number;
  readonly #project: string;
  readonly #options: ComposeOptions;
  #image: string;

  private constructor(project: string, port: number, options: ComposeOptions) {
    this.#project = project;
    this.#options = options;
    this.port = port;
    this.#image = options.image ?? inject('e2e').images.trixie;
  }

  /** Nothing runs yet. */
  static async create(options: ComposeOptions = {}): Promise<ComposeFleet> {
    return new ComposeFleet(newProject(inject('e2e').owner), await freePort(['127.0.0.1']), options);
  }

  /** All that does not run yet, until it is healthy. */
  async up(): Promise<void> {
    try {
      await this.compose('up', '-d', '--no-build', '--wait');
    } catch (cause) {
      keepWords(`up ${this.#project}`, await this.words());
      throw new Error(`the fleet does not come up: ${String(cause)}\n${await this.words(15)}`, { cause });
    }
  }

  /** Starts one service whether or not what it needs is there. */
  async startAlone(service: string): Promise<void> {
    await this.compose('up', '-d', '--no-build', '--no-deps', service);
  }

  /** Resolves once so many containers are there, each of them healthy. */
  async untilHealthy(count = withoutUnits + 3): Promise<void> {
    const withinMs = 120_000;
    const deadline = performance.now() + withinMs;
    while ((await this.containers()).filter(({ health }) => health === 'healthy').length !== count) {
      if (performance.now() > deadline) throw new Error(`not healthy within ${withinMs} ms: ${await this.words(15)}`);
      await delay(500);
    }
  }

  /** Runs a script in a volume that no service has begun to use. */
  async prepare(service: string, volume: string, script: string): Promise<void> {
    await this.compose('up', '--no-start', '--no-build', '--no-deps', service);
    const within = ['--network', 'none', '--user', '0', '-v', `${this.#project}_${volume}:/volume`, '-w', '/volume'];
    await docker(['run', '--rm', ...within, '--entrypoint', 'sh', this.#image, '-euc', script]);
  }

  /** From now on what is started has this image. */
  use(image: string): void {
    this.#image = image;
  }

  compose(...args: readonly string[]): Promise<string> {
    const { files = [], environment } = this.#options;
    const given = ['docker-compose.yml', ...files, ...(environment === undefined ? [] : ['-'])];
    return docker(['compose', '--project-name', this.#project, ...given.flatMap((file) => ['-f', file]), ...args], {
      env: { IMAGE: this.#image, HAPROXY_IMAGE: inject('e2e').images.haproxy, PORT: String(this.port) },
      input: JSON.stringify({ services: { unit: { environment } } }),
    });
  }

  /** Resolves once those that are too many are gone and the others are healthy. */
  async scale(units: number): Promise<void> {
    await this.compose('up', '-d', '--no-build', '--no-recreate', '--scale', `unit=${units}`);
    await this.untilHealthy(withoutUnits + units);
  }

  /** As the first unit that answers sees it, apart from one. */
  async status(except?: Container): Promise<Status> {
    let last: unknown = new Error('no unit runs');
    for (const { id } of await this.containers('unit'))
      try {
        if (id !== except?.id) return await this.statusSeenFrom(id);
      } catch (cause) {
        last = cause;
      }
    throw last;
  }

  async statusSeenFrom(id: string): Promise<Status> {
    return fleetStatusSchema.parse(JSON.parse(await docker(['exec', id, 'troupe', 'status', '--json'])));
  }

  /** Resolves to the status for which it does; rejects with the last one that did not. */
  async until(what: string, holds: (status: Status) => boolean, except?: Container): Promise<Status> {
    const withinMs = 90_000;
    const deadline = performance.now() + withinMs;
    for (;;) {
      const status = await this.status(except).catch((cause: unknown) => (cause instanceof Error ? cause : null));
      if (status !== null && !(status instanceof Error) && holds(status)) return status;
      if (performance.now() > deadline)
        throw new Error(
          `not within ${withinMs} ms: ${what}: ${status instanceof Error ? status.message : JSON.stringify(status)}\n${await this.words(15)}`,
        );
      await delay(500);
    }
  }

  /** Cuts a container off from all others; its processes run on. */
  async disconnect({ id }: Container): Promise<void> {
    await docker(['network', 'disconnect', this.#network, id]);
  }

  /** By the names that it had. */
  async reconnect({ id, name }: Container, service: string): Promise<void> {
    await docker(['network', 'connect', '--alias', service, '--alias', name, this.#network, id]);
  }

  /** Containers that are found by the name of the units, and listen nowhere. */
  async startDeafUnits(count: number): Promise<AsyncDisposable> {
    const ids = await Promise.all(Array.from({ length: count }, () => this.#startDeafUnit()));
    return { [Symbol.asyncDispose]: async () => void (await docker(['rm', '-f', ...ids])) };
  }

  async #startDeafUnit(): Promise<string> {
    const found = [
      '--label',
      `${projectLabel}=${this.#project}`,
      '--network',
      this.#network,
      '--network-alias',
      'unit',
    ];
    return (await docker(['run', '-d', ...found, '--entrypoint', 'sleep', this.#image, '600'])).trim();
  }

  get #network(): string {
    return `${this.#project}_default`;
  }

  /** Those that run, of one service or of all. */
  async containers(service?: string): Promise<readonly Container[]> {
    const asked = service === undefined ? [] : [service];
    const lines = (await this.compose('ps', '--format', 'json', ...asked)).split('\n').filter(Boolean);
    return lines
      .map((line) => JSON.parse(line))
      .map(({ ID, Name, State, Health }) => ({ id: ID, name: Name, state: State, health: Health }));
  }

  async container(service: string): Promise<Container> {
    const [only] = await this.containers(service);
    if (only === undefined) throw new Error(`no container of ${service} runs`);
    return only;
  }

  /** The container whose coordinator calls itself so. */
  async containerOf(unit: string): Promise<Container> {
    for (const container of await this.containers('unit')) {
      const { answeredBy } = await this.statusSeenFrom(container.id);
      if (answeredBy === unit) return container;
    }
    throw new Error(`no container runs ${unit}`);
  }

  /** Of a container, the first one first. */
  async processes({ id }: Container): Promise<readonly Process[]> {
    const [, ...lines] = (await docker(['top', id, '-eo', 'pid,args'])).split('\n').filter(Boolean);
    return lines.map((line) => {
      const [, pid, command = ''] = /^\s*(\d+)\s+(.*)$/.exec(line) ?? [];
      return { pid: Number(pid), command };
    });
  }

  /** Ends a process as the kernel would; the engine takes the end of a container for an accident. */
  crash(process: Process): Promise<void> {
    return this.signal(process, 'KILL');
  }

  /** From outside of its container. */
  async signal({ pid }: Process, signal: 'KILL' | 'STOP' | 'CONT'): Promise<void> {
    const outside = ['--rm', '--pid', 'host', '--network', 'none', '--user', '0', '--entrypoint', 'sh'];
    await docker(['run', ...outside, this.#image, '-c', `kill -${signal} ${pid}`]);
  }

  /** The address that others see a container by. */
  async addressOf({ id }: Container): Promise<string> {
    return (await docker(['inspect', '-f', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', id])).trim();
  }

  /** Of the client that the operator integrates. */
  async login(): Promise<Login> {
    return credentialsSchema.parse(
      JSON.parse(await this.compose('exec', '-T', 'unit', 'troupe', 'dsn', 'app', '--json')),
    );
  }

  /** What its services are and said, each its last lines. */
  async words(lines = 1_000): Promise<string> {
    const asked = [
      this.compose('ps', '--all'),
      this.compose('logs', '--no-color', '--timestamps', '--tail', String(lines)),
    ];
    return (await Promise.all(asked.map((one) => one.catch(String)))).join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.compose('down', '-v', '--remove-orphans', '--timeout', '0');
  }
}

/** Containers of a fleet that are no units. */
const withoutUnits = 7;

export const isActive = ({ units, generation: { published, good } }: Status, count: number): boolean =>
  good === published &&
  units.filter(({ status, generation }) => status === 'active' && generation.applied === good).length === count;
