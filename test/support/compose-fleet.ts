import { setTimeout as delay } from 'node:timers/promises';
import { inject } from 'vitest';
import type { z } from 'zod';
import { credentialsSchema } from '../../src/api/change.ts';
import { fleetStatusSchema } from '../../src/api/status.ts';
import { freePort } from '../../src/infra/local/free-port.ts';
import { docker } from './docker.ts';
import { newProject } from './e2e-things.ts';

export type Status = z.output<typeof fleetStatusSchema>;
export type Login = z.output<typeof credentialsSchema>;

export interface Container {
  readonly id: string;
  readonly name: string;
  readonly state: string;
  readonly health: string;
}

/** The fleet of `docker-compose.yml`, as a stranger starts it, under a name and at a port of its own. */
export class ComposeFleet implements AsyncDisposable {
  /** Where HAProxy is, on this machine. */
  readonly port: number;
  readonly #project: string;
  #image: string;

  private constructor(project: string, port: number, image: string) {
    this.#project = project;
    this.port = port;
    this.#image = image;
  }

  /** Nothing runs yet. */
  static async create(): Promise<ComposeFleet> {
    const { owner, images } = inject('e2e');
    return new ComposeFleet(newProject(owner), await freePort(['127.0.0.1']), images.trixie);
  }

  static async up(): Promise<ComposeFleet> {
    const fleet = await ComposeFleet.create();
    try {
      await fleet.compose('up', '-d', '--no-build', '--wait');
    } catch (cause) {
      const words = await fleet.words();
      await fleet[Symbol.asyncDispose]();
      throw new Error(`the fleet does not come up: ${String(cause)}\n${words}`, { cause });
    }
    return fleet;
  }

  /** From now on what is started has this image. */
  use(image: string): void {
    this.#image = image;
  }

  compose(...args: readonly string[]): Promise<string> {
    return docker(['compose', '--project-name', this.#project, ...args], {
      env: { IMAGE: this.#image, HAPROXY_IMAGE: inject('e2e').images.haproxy, PORT: String(this.port) },
    });
  }

  async scale(units: number): Promise<void> {
    await this.compose('up', '-d', '--no-build', '--no-recreate', '--wait', '--scale', `unit=${units}`);
  }

  /** As the first unit that answers sees it. */
  async status(): Promise<Status> {
    let last: unknown = new Error('no unit runs');
    for (const { id } of await this.containers('unit'))
      try {
        return await this.statusSeenFrom(id);
      } catch (cause) {
        last = cause;
      }
    throw last;
  }

  async statusSeenFrom(id: string): Promise<Status> {
    return fleetStatusSchema.parse(JSON.parse(await docker(['exec', id, 'troupe', 'status', '--json'])));
  }

  /** Resolves to the status for which it does; rejects with the last one that did not. */
  async until(what: string, holds: (status: Status) => boolean, withinMs = 60_000): Promise<Status> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const status = await this.status().catch((cause: unknown) => (cause instanceof Error ? cause : null));
      if (status !== null && !(status instanceof Error) && holds(status)) return status;
      if (performance.now() > deadline)
        throw new Error(
          `not within ${withinMs} ms: ${what}: ${status instanceof Error ? status.message : JSON.stringify(status)}\n${await this.words()}`,
        );
      await delay(250);
    }
  }

  /** Those that run, of one service. */
  async containers(service: string): Promise<readonly Container[]> {
    const lines = (await this.compose('ps', '--format', 'json', service)).split('\n').filter(Boolean);
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

  /** Ends the first process of a container as the kernel would; its restart policy takes it for an accident. */
  async crash({ id }: Container): Promise<void> {
    const pid = (await docker(['inspect', '-f', '{{.State.Pid}}', id])).trim();
    const outside = ['--rm', '--pid', 'host', '--network', 'none', '--user', '0', '--entrypoint', 'sh'];
    await docker(['run', ...outside, this.#image, '-c', `kill -9 ${pid}`]);
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

  /** What its services said last. */
  words(): Promise<string> {
    return this.compose('logs', '--no-color', '--tail', '15').catch(String);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.compose('down', '-v', '--remove-orphans', '--timeout', '0');
  }
}

export const isActive = ({ units, generation: { published, good } }: Status, count: number): boolean =>
  good === published &&
  units.filter(({ status, generation }) => status === 'active' && generation.applied === good).length === count;
