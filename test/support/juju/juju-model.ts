/**
 * A Juju model inside the test: applications, units, relations, secrets, and an agent for each unit that runs the hooks of its charm
 * as real processes with real hook tools. What is left to chance is decided by `seed`; one hook runs at a time. What Juju would never let
 * happen is refused with ImpossibleInJuju.
 *
 *   await using juju = await JujuModel.open({ seed: 7 });
 *   juju.deploy('pgbouncer', charmIn(directory), { units: 3 });
 *   juju.deploy('app', scriptedCharm({ name: 'app', requires: { database: { interface: 'postgresql_client' } } }));
 *   juju.integrate('pgbouncer:database', 'app:database');
 *   const ran = await juju.settle();     // the hooks that ran, until there are none to run
 *   juju.bag(relation, 'pgbouncer');
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xidOf } from '../../../src/infra/juju/secret-id.ts';
import { Agents } from './agents.ts';
import { type Charm, ImpossibleInJuju, type OptionValue, type Script } from './charm.ts';
import { Controller, type DeployOptions } from './controller.ts';
import type { Account } from './dispatch-run.ts';
import type { LogRecord } from './hook-context.ts';
import { type FaultAt, HookFailed, type RanHook } from './hook-record.ts';
import { bury } from './life.ts';
import { nextHook } from './next-hook.ts';
import * as operator from './operator.ts';
import { renewPod } from './pods.ts';
import type {
  ActionOutcome,
  Application,
  Hook,
  Notice,
  Relation,
  SecretThing,
  Status,
  Unit,
  Values,
} from './things.ts';

export interface ModelOptions {
  readonly seed?: number;
  /** Of the agents. */
  readonly version?: string;
  readonly name?: string;
  /** As whom dispatches run; the test itself when null. */
  readonly account?: Account | null;
  /** What a dispatch may take, in ms. */
  readonly limitMs?: number;
}

export class JujuModel implements AsyncDisposable {
  /** Units that are cut off from the controller: none of their hooks runs. Who leads is the test's to say. */
  readonly cutOff = new Set<string>();
  readonly #controller: Controller;
  readonly #agents: Agents;

  private constructor(controller: Controller, agents: Agents) {
    this.#controller = controller;
    this.#agents = agents;
  }

  static async open({ seed, version, name, account, limitMs }: ModelOptions = {}): Promise<JujuModel> {
    const home = await mkdtemp(join(tmpdir(), 'troupe-juju-'));
    await chmod(home, 0o755);
    const controller = new Controller(home, name ?? 'prod', version ?? '3.6.12', seed ?? 1);
    return new JujuModel(controller, await Agents.open(controller, account ?? null, limitMs ?? 60_000));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agents[Symbol.asyncDispose]();
    await rm(this.#controller.home, { recursive: true, force: true });
  }

  // What the operator does.

  deploy(name: string, charm: Charm, options: DeployOptions = {}): void {
    operator.deploy(this.#controller, name, charm, options);
  }
  /** As a StatefulSet does: the highest numbers come and go. */
  scale(name: string, units: number): void {
    operator.scale(this.#controller, name, units);
  }
  /** The highest one is gone with its pod, and none of its hooks runs any more. */
  loseUnit(application: string): void {
    operator.loseUnit(this.#controller, application);
  }
  /** `application:endpoint` each; the id of the relation. Across models, the one that requires lives in another model. */
  integrate(one: string, other: string, how = { acrossModels: false }): number {
    return operator.integrate(this.#controller, one, other, how);
  }
  removeRelation(id: number): void {
    operator.removeRelation(this.#controller, id);
  }
  removeApplication(name: string): void {
    operator.removeApplication(this.#controller, name);
  }
  /** Null resets. */
  configure(name: string, changes: Readonly<Record<string, OptionValue | null>>): void {
    operator.configure(this.#controller, name, changes);
  }
  /** Each pod is made anew, the highest number first. */
  refresh(name: string, charm: Charm): void {
    operator.refresh(this.#controller, name, charm);
  }
  /** The pod goes and comes again: a stop hook unless it is cut off, then another directory, address and workload. */
  async churnPod(name: string, how: 'stopped' | 'cutOff' = 'stopped'): Promise<void> {
    const unit = this.unit(name);
    if (!unit.done.installed) throw new ImpossibleInJuju(`${name} has not been installed yet`);
    if (how === 'stopped') unit.stopAsked = true;
    else await renewPod(this.#controller, unit);
  }
  /** The charm container alone: a start, and its agent has forgotten which Pebble it knew. */
  restartAgent(name: string): void {
    operator.restartAgent(this.#controller, name);
  }
  /** The workload container is away, its image is being fetched for one: no hook of it before `restartWorkload`. */
  stopWorkload(name: string, container: string): void {
    operator.stopWorkload(this.#controller, name, container);
  }
  /** The workload container alone. */
  restartWorkload(name: string, container: string): void {
    operator.restartWorkload(this.#controller, name, container);
  }
  notify(name: string, notice: Notice): void {
    operator.notify(this.#controller, name, notice);
  }
  moveLeadership(name: string, to: string | null): void {
    operator.moveLeadership(this.#controller, name, to);
  }
  /** Of one unit, or of all of an application. */
  updateStatus(name: string): void {
    operator.updateStatus(this.#controller, name);
  }
  /** Granted to these applications; its URI. */
  addUserSecret(content: Values, to: readonly string[]): string {
    return operator.addUserSecret(this.#controller, content, to);
  }

  /** Resolves when it ran, so `settle` or `step` must go on beside it. */
  startAction(
    name: string,
    action: string,
    parameters: Readonly<Record<string, unknown>> = {},
  ): Promise<ActionOutcome> {
    return operator.startAction(this.#controller, name, action, parameters);
  }

  /** Runs the action, and every hook that is due. */
  async runAction(
    name: string,
    action: string,
    parameters: Readonly<Record<string, unknown>> = {},
  ): Promise<ActionOutcome> {
    const outcome = this.startAction(name, action, parameters);
    await this.settle();
    return await outcome;
  }

  /** As `juju exec` does: in a hook context of that unit. What the script throws is thrown, and nothing is stored then. */
  async exec(name: string, script: Script): Promise<RanHook> {
    const hook: Hook = { name: 'juju-exec', action: null, environment: {}, relation: null, done: () => {} };
    const failures: unknown[] = [];
    const watched: Script = (given) =>
      script(given).catch((cause: unknown) => {
        failures.push(cause);
        throw cause;
      });
    const ran = await this.#agents.run(this.unit(name), hook, { script: watched });
    if (failures.length > 0) throw failures[0];
    return ran;
  }

  /** A hook that Juju would dispatch to a charm of another version: this one need not know it. */
  async dispatch(name: string, hook: string, environment: Values = {}): Promise<RanHook> {
    const never = { name: hook, action: null, environment, relation: null, done: () => {} };
    return await this.#agents.run(this.unit(name), never, {});
  }

  /** Everything is again as it is now, as often as what is returned is called. Not while a hook runs. */
  keep(): () => void {
    const kept = [this.#controller.keep(), this.#agents.keep()];
    return () => {
      for (const restore of kept) restore();
    };
  }

  // What time does.

  /** What is due by then is told, and what was told and had no consequence is told again. */
  timePasses(ms: number): void {
    this.#controller.timePasses(ms);
  }

  /** Runs one hook of some unit; null when no unit has one. */
  async step(): Promise<RanHook | null> {
    const { chance, world } = this.#controller;
    const due = chance
      .shuffled(this.#controller.units(), ({ name }) => name)
      .filter(({ name }) => !this.cutOff.has(name))
      .flatMap((unit) => {
        const hook = nextHook(unit, world);
        return hook === null ? [] : [{ unit, hook }];
      });
    bury(this.#controller);
    const [next] = due.toSorted((a, b) => patienceFor(a.unit) - patienceFor(b.unit));
    return next === undefined ? null : await this.#agents.run(next.unit, next.hook, null);
  }

  /** One hook of this unit, whatever the others have to do: agents do not wait for each other. Null when it has none. */
  async stepOf(name: string): Promise<RanHook | null> {
    const unit = this.unit(name);
    const hook = nextHook(unit, this.#controller.world);
    bury(this.#controller);
    return hook === null ? null : await this.#agents.run(unit, hook, null);
  }

  /** Runs hooks until there are none; those that ran. Rejects with HookFailed when one fails `attempts` times in a row. */
  async settle({
    attempts = 5,
    atMost = 2_000,
    after = async () => {},
  }: {
    readonly attempts?: number;
    readonly atMost?: number;
    /** Called after each of them. */
    readonly after?: () => Promise<void>;
  } = {}): Promise<readonly RanHook[]> {
    const ran: RanHook[] = [];
    for (let next = await this.step(); next !== null; next = await this.step()) {
      ran.push(next);
      await after();
      const failed = this.#controller.findUnit(next.unit)?.failed;
      if (!next.succeeded && (failed?.attempts ?? 0) >= attempts) throw new HookFailed(next);
      if (ran.length > atMost)
        throw new Error(
          `hooks go on and on: ${ran
            .slice(-12)
            .map(({ unit, hook }) => `${unit} ${hook}`)
            .join(', ')}`,
        );
    }
    return ran;
  }

  /** What it takes from the start of a hook tool until it asks, in ms: the middle one of some. */
  async toolStartMs(): Promise<number> {
    return await this.#agents.toolStartMs();
  }

  // What there is to see.

  get name(): string {
    return this.#controller.modelName;
  }
  get uuid(): string {
    return this.#controller.uuid;
  }
  get version(): string {
    return this.#controller.version;
  }
  /** Everything that was logged. */
  get logs(): readonly LogRecord[] {
    return this.#agents.logs;
  }
  /** Every hook that ran. */
  get history(): readonly RanHook[] {
    return this.#agents.history;
  }
  /** Asked for each call of a hook tool. */
  get faultAt(): FaultAt {
    return this.#agents.faultAt;
  }
  set faultAt(faultAt: FaultAt) {
    this.#agents.faultAt = faultAt;
  }
  get applications(): ReadonlyMap<string, Application> {
    return this.#controller.applications;
  }
  get relations(): ReadonlyMap<number, Relation> {
    return this.#controller.relations;
  }
  get secrets(): ReadonlyMap<string, SecretThing> {
    return this.#controller.secrets;
  }

  unit(name: string): Unit {
    return this.#controller.unit(name);
  }
  unitsOf(application: string): readonly string[] {
    return [...this.#controller.application(application).units.keys()];
  }
  leaderOf(application: string): string | null {
    return this.#controller.application(application).leader;
  }
  statusOf(name: string): Status | null {
    return name.includes('/') ? this.unit(name).status : this.#controller.application(name).status;
  }
  /** Of one endpoint: ids. */
  relationsOf(application: string, endpoint: string): readonly number[] {
    return this.#controller.relationsOf(application, endpoint);
  }
  /** Of a unit or an application, as stored. */
  bag(relation: number, member: string): Values {
    return this.#controller.relation(relation).bags.get(member) ?? {};
  }
  /** The newest content; null when there is no such secret. */
  secret(id: string): Values | null {
    const secret = this.#controller.secrets.get(xidOf(id));
    return secret?.revisions.get(secret.latest) ?? null;
  }
}

/** Failed once, a hook is run again at once; then later and later, so the others go first. */
const patienceFor = ({ failed }: Unit): number => (failed === null || failed.attempts < 2 ? 0 : failed.attempts);
