/** What the controller keeps of a model, and how it is found by name. */
import { randomBytes } from 'node:crypto';
import { Chance } from './chance.ts';
import { type OptionValue, ImpossibleInJuju } from './charm.ts';
import type { Within } from './dispatch-run.ts';
import { copyOf } from './copy.ts';
import type { Application, Relation, SecretThing, Side, Unit, Values } from './things.ts';
import type { Store, World } from './world.ts';

export interface DeployOptions {
  readonly units?: number;
  readonly options?: Readonly<Record<string, OptionValue>>;
  /** Of the pod of this unit; otherwise one is made up, and another one for each new pod. */
  readonly address?: (unit: string) => string;
  /** Added to the environment of its dispatches: what a test must say and Juju would not. */
  readonly environment?: (unit: string) => Values;
  /** Where its dispatches run, for instance in its pod; as processes of this machine where nothing is said. */
  readonly within?: (unit: string, directory: string) => Promise<Within>;
  /** Called when a pod is made anew: what its workload containers had is gone. */
  readonly newPod?: (unit: string) => Promise<void>;
}

export class Controller {
  readonly modelName: string;
  readonly uuid = '2c2f6bbd-8f7c-4b51-8d0c-2f3c2d6c0a10';
  /** Of the agents. */
  readonly version: string;
  /** Where the agents' directories are. */
  readonly home: string;
  readonly chance: Chance;
  readonly applications = new Map<string, Application>();
  readonly deployments = new Map<string, DeployOptions>();
  readonly relations = new Map<number, Relation>();
  readonly secrets = new Map<string, SecretThing>();
  #count = 0;
  #laterMs = 0;
  #passed = 0;

  constructor(home: string, modelName: string, version: string, seed: number) {
    this.home = home;
    this.modelName = modelName;
    this.version = version;
    this.chance = new Chance(seed);
  }

  get versionNumbers(): readonly [number, number, number] {
    const [major = 3, minor = 6, patch = 0] = this.version.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0);
    return [major, minor, patch];
  }

  get world(): World {
    const { chance, relations, secrets } = this;
    const hasLeaderSettings = this.versionNumbers[0] < 4;
    return { chance, relations, secrets, hasLeaderSettings, now: this.now, passed: this.#passed };
  }

  /** In ms. */
  get now(): number {
    return Date.now() + this.#laterMs;
  }
  /** What is due by then is told, and what was told and had no consequence is told again. */
  timePasses(ms: number): void {
    this.#laterMs += ms;
    this.#passed += 1;
  }

  get store(): Store {
    return {
      name: this.modelName,
      uuid: this.uuid,
      version: this.versionNumbers,
      relations: this.relations,
      secrets: this.secrets,
      units: () => this.units(),
      newXid: () => this.newXid(),
      now: () => new Date(this.now),
    };
  }

  /** Everything is again as it is now, as often as what is returned is called. Not while a hook runs. */
  keep(): () => void {
    const { applications, deployments, relations, secrets } = this;
    const kept = copyOf({ applications, deployments, relations, secrets });
    const [laterMs, passed, chance] = [this.#laterMs, this.#passed, this.chance.keep()];
    return () => {
      const then = copyOf(kept);
      refill(applications, then.applications);
      refill(deployments, then.deployments);
      refill(relations, then.relations);
      refill(secrets, then.secrets);
      this.#laterMs = laterMs;
      this.#passed = passed;
      chance();
    };
  }

  /** Never the same twice. */
  next(): number {
    this.#count += 1;
    return this.#count;
  }
  /** Twenty letters and digits, as Juju's. */
  newXid(): string {
    const letters = '0123456789abcdefghijklmnopqrstuv';
    return Array.from(randomBytes(20), (byte) => letters[byte % letters.length]).join('');
  }
  newRelation(sides: readonly Side[], abroad: Relation['abroad'] = null): number {
    const id = this.next();
    const [members, bags, versions] = [new Set<string>(), new Map<string, Values>(), new Map<string, number>()];
    this.relations.set(id, { id, sides, dying: false, members, bags, versions, abroad });
    return id;
  }

  units(): readonly Unit[] {
    return [...this.applications.values()].flatMap(({ units }) => [...units.values()]);
  }
  /** Of one endpoint: ids. */
  relationsOf(application: string, endpoint: string): readonly number[] {
    return [...this.relations.values()].flatMap(({ id, sides }) =>
      sides.some((side) => side.application.name === application && side.endpoint === endpoint) ? [id] : [],
    );
  }

  application(name: string): Application {
    const application = this.applications.get(name);
    if (application === undefined) throw new ImpossibleInJuju(`there is no application ${name}`);
    return application;
  }
  findUnit(name: string): Unit | undefined {
    return this.units().find((unit) => unit.name === name);
  }
  unit(name: string): Unit {
    const unit = this.findUnit(name);
    if (unit === undefined) throw new ImpossibleInJuju(`there is no unit ${name}`);
    return unit;
  }
  relation(id: number): Relation {
    const relation = this.relations.get(id);
    if (relation === undefined) throw new ImpossibleInJuju(`there is no relation ${id}`);
    return relation;
  }
  /** Of `application:endpoint`, for a new relation. */
  side(text: string): Side {
    const [name = '', endpoint = ''] = text.split(':');
    const application = this.application(name);
    if (application.dying) throw new ImpossibleInJuju(`${name} is being removed`);
    if (!application.charm.endpoints.has(endpoint)) throw new ImpossibleInJuju(`${name} has no endpoint ${endpoint}`);
    return { application, endpoint };
  }
}

const refill = <Key, Value>(map: Map<Key, Value>, values: ReadonlyMap<Key, Value>): void => {
  map.clear();
  for (const [key, value] of values) map.set(key, value);
};
