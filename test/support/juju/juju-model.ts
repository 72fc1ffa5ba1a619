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
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xidOf } from '../../../src/infra/juju/secret-id.ts';
import { AgentSocket, type ToolAnswer, type ToolRequest } from './agent-socket.ts';
import { Chance } from './chance.ts';
import { type Charm, type CharmOption, ImpossibleInJuju, type OptionValue, type Script } from './charm.ts';
import { type Account, type Ended, runProcess, runScript } from './dispatch-run.ts';
import { FlushRefused, HookContext, type LogRecord, type Store } from './hook-context.ts';
import { type AgentPlace, environmentOf } from './hook-environment.ts';
import { answerTool, toolsOf } from './hook-tools.ts';
import { countDown, nextHook, type World } from './next-hook.ts';
import type {
  ActionOutcome,
  Application,
  Hook,
  Notice,
  PendingAction,
  Relation,
  SecretThing,
  Side,
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

export interface DeployOptions {
  readonly units?: number;
  readonly options?: Readonly<Record<string, OptionValue>>;
  /** Of the pod of this unit; otherwise one is made up, and another one for each new pod. */
  readonly address?: (unit: string) => string;
  /** Added to the environment of its dispatches: what a test must say and Juju would not. */
  readonly environment?: (unit: string) => Values;
  /** Called when a pod is made anew: what its workload containers had is gone. */
  readonly newPod?: (unit: string) => Promise<void>;
}

/** A hook or action that ran. */
export interface RanHook {
  readonly unit: string;
  /** As Juju names it; an action as `action:<name>`. */
  readonly hook: string;
  /** Null when the process was killed. */
  readonly code: number | null;
  /** Exit 0, and the controller took what was staged. */
  readonly succeeded: boolean;
  readonly stdout: string;
  /** With what the controller said when it did not take it. */
  readonly stderr: string;
  readonly tookMs: number;
  readonly calls: readonly ToolCallRecord[];
}

export interface ToolCallRecord {
  readonly unit: string;
  readonly hook: string;
  /** From 0, within the dispatch. */
  readonly index: number;
  readonly tool: string;
  readonly args: readonly string[];
  /** What it was sent on stdin. */
  readonly input: string | null;
  readonly code: number;
  /** After the dispatch began. */
  readonly askedAtMs: number;
  /** From the moment the tool asked to the moment it was answered; the start of its process is not in it. */
  readonly tookMs: number;
}

/**
 * What happens to a call: `before`, it fails and nothing is done; `after`, it is done and fails all the same; `killBefore` and
 * `killAfter`, the dispatch is killed at that point; `says`, it is refused in these words.
 */
export type Fault = 'before' | 'after' | 'killBefore' | 'killAfter' | { readonly says: string };
export type FaultAt = (call: {
  readonly unit: string;
  readonly hook: string;
  readonly index: number;
  readonly tool: string;
  readonly args: readonly string[];
}) => Fault | null;

/** The same hook fails again and again. */
export class HookFailed extends Error {
  override readonly name = 'HookFailed';
  readonly ran: RanHook;
  constructor(ran: RanHook) {
    const calls = ran.calls.map(({ tool, args, code }) => `  ${tool} ${args.join(' ')} (${code})`).join('\n');
    super(`${ran.unit} fails in ${ran.hook} with ${String(ran.code)}:\n${ran.stderr}\n${calls}`);
    this.ran = ran;
  }
}

interface Running {
  readonly context: HookContext;
  readonly calls: ToolCallRecord[];
  readonly began: number;
  asked: number;
  child: ChildProcess | null;
}

export class JujuModel implements AsyncDisposable {
  readonly name: string;
  readonly uuid: string;
  readonly version: string;
  /** Everything that was logged. */
  readonly logs: LogRecord[] = [];
  /** Every hook that ran. */
  readonly history: RanHook[] = [];
  /** Asked for each call of a hook tool. */
  faultAt: FaultAt = () => null;
  readonly #applications = new Map<string, Application>();
  readonly #deployments = new Map<string, DeployOptions>();
  readonly #relations = new Map<number, Relation>();
  readonly #secrets = new Map<string, SecretThing>();
  readonly #chance: Chance;
  readonly #home: string;
  readonly #account: Account | null;
  readonly #limitMs: number;
  readonly #running = new Map<string, Running>();
  readonly #measured = new Map<string, (at: number) => void>();
  #agent: AgentSocket | null = null;
  #count = 0;

  private constructor(home: string, options: ModelOptions) {
    this.#home = home;
    this.#chance = new Chance(options.seed ?? 1);
    this.name = options.name ?? 'prod';
    this.uuid = '2c2f6bbd-8f7c-4b51-8d0c-2f3c2d6c0a10';
    this.version = options.version ?? '3.6.12';
    this.#account = options.account ?? null;
    this.#limitMs = options.limitMs ?? 60_000;
  }

  static async open(options: ModelOptions = {}): Promise<JujuModel> {
    const home = await mkdtemp(join(tmpdir(), 'troupe-juju-'));
    await chmod(home, 0o755);
    const model = new JujuModel(home, options);
    model.#agent = await AgentSocket.open(home, toolsOf(model.#versionNumbers), (request) => model.#answer(request));
    return model;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#running.values()) child?.kill('SIGKILL');
    await this.#agent?.[Symbol.asyncDispose]();
    await rm(this.#home, { recursive: true, force: true });
  }

  get #versionNumbers(): readonly [number, number, number] {
    const [major = 3, minor = 6, patch = 0] = this.version.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0);
    return [major, minor, patch];
  }

  // What the operator does.

  deploy(name: string, charm: Charm, options: DeployOptions = {}): void {
    if (this.#applications.has(name)) throw new ImpossibleInJuju(`there is an application ${name} already`);
    const application: Application = {
      name,
      charm,
      revision: 1,
      options: {},
      leader: null,
      dying: false,
      version: '',
      status: null,
      leaderSettings: {},
      units: new Map(),
    };
    this.#applications.set(name, application);
    this.#deployments.set(name, options);
    this.configure(name, options.options ?? {});
    for (const [endpoint, { role }] of charm.endpoints)
      if (role === 'peers') this.#addRelation([{ application, endpoint }]);
    this.scale(name, options.units ?? 1);
  }

  /** As a StatefulSet does: the highest numbers come and go. */
  scale(name: string, units: number): void {
    const application = this.#application(name);
    const alive = [...application.units.values()].filter(({ life }) => life === 'alive');
    if (alive.length < application.units.size && units > alive.length)
      throw new ImpossibleInJuju(`units of ${name} are still leaving: settle first`);
    for (let number = alive.length; number < units; number += 1) this.#addUnit(application, number);
    for (const unit of alive.toSorted((a, b) => b.number - a.number).slice(0, Math.max(0, alive.length - units)))
      this.#kill(unit);
  }

  /** The highest one is gone with its pod, and none of its hooks runs any more. */
  loseUnit(application: string): void {
    const units = [...this.#application(application).units.values()];
    const unit = units.toSorted((a, b) => b.number - a.number)[0];
    if (unit === undefined) throw new ImpossibleInJuju(`${application} has no units`);
    this.#kill(unit);
    unit.life = 'dead';
    for (const relation of this.#relations.values()) relation.members.delete(unit.name);
    this.#bury();
  }

  /** `application:endpoint` each; the id of the relation. */
  integrate(one: string, other: string): number {
    const sides = [this.#side(one), this.#side(other)] as const;
    const roles = sides.map(({ application, endpoint }) => application.charm.endpoints.get(endpoint));
    const [first, second] = roles;
    if (first?.interface !== second?.interface || !isProviderAndRequirer(roles))
      throw new ImpossibleInJuju(`${one} and ${other} do not fit together`);
    for (const [at, side] of sides.entries()) {
      const limit = roles[at]?.limit ?? Number.POSITIVE_INFINITY;
      if (this.relationsOf(side.application.name, side.endpoint).length >= limit)
        throw new ImpossibleInJuju(`${side.application.name}:${side.endpoint} takes no further relation`);
    }
    const isThere = [...this.#relations.values()].some((relation) =>
      sides.every(({ application, endpoint }) =>
        relation.sides.some((side) => side.application === application && side.endpoint === endpoint),
      ),
    );
    if (isThere) throw new ImpossibleInJuju(`${one} and ${other} are related already`);
    return this.#addRelation([...sides]);
  }

  removeRelation(id: number): void {
    const relation = this.#relation(id);
    if (relation.sides.length === 1) throw new ImpossibleInJuju('a peer relation ends with its application');
    relation.dying = true;
    this.#bury();
  }

  removeApplication(name: string): void {
    const application = this.#application(name);
    application.dying = true;
    for (const relation of this.#relations.values())
      if (relation.sides.length > 1 && relation.sides.some((side) => side.application === application))
        relation.dying = true;
    for (const unit of application.units.values()) if (unit.life === 'alive') this.#kill(unit);
    this.#bury();
  }

  /** Null resets. */
  configure(name: string, changes: Readonly<Record<string, OptionValue | null>>): void {
    const application = this.#application(name);
    for (const [option, value] of Object.entries(changes)) {
      const declared = application.charm.options.get(option);
      if (declared === undefined) throw new ImpossibleInJuju(`${name} has no option ${option}`);
      if (value !== null && !isOfType(value, declared.type))
        throw new ImpossibleInJuju(`option ${option} of ${name} is a ${declared.type}, and ${String(value)} is not`);
    }
    application.options = Object.fromEntries(
      Object.entries({ ...application.options, ...changes }).flatMap(([option, value]) =>
        value === null ? [] : [[option, value] as const],
      ),
    );
  }

  /** Each pod is made anew, the highest number first. */
  refresh(name: string, charm: Charm): void {
    const application = this.#application(name);
    application.charm = charm;
    application.revision += 1;
    for (const unit of application.units.values()) unit.stopAsked = unit.done.installed;
  }

  /** The pod goes and comes again: a stop hook unless it is cut off, then another directory, address and workload. */
  async churnPod(name: string, how: 'stopped' | 'cutOff' = 'stopped'): Promise<void> {
    const unit = this.#unit(name);
    if (!unit.done.installed) throw new ImpossibleInJuju(`${name} has not been installed yet`);
    if (how === 'stopped') unit.stopAsked = true;
    else await this.#renewPod(unit);
  }

  /** The charm container alone: a start, and its agent has forgotten which Pebble it knew. */
  restartAgent(name: string): void {
    const unit = this.#unit(name);
    if (!unit.done.started) throw new ImpossibleInJuju(`${name} has not been started yet`);
    unit.done.started = false;
    this.#pebblesStart(unit);
  }

  /** The workload container alone. */
  restartWorkload(name: string, container: string): void {
    const unit = this.#unit(name);
    this.#known(unit, container);
    unit.workloads.set(container, { in: 0 });
  }

  notify(name: string, notice: Notice): void {
    const unit = this.#unit(name);
    this.#known(unit, notice.container);
    unit.notices.push(notice);
  }

  moveLeadership(name: string, to: string | null): void {
    const application = this.#application(name);
    if (to !== null && (this.#unit(to).application !== application || this.#unit(to).life !== 'alive'))
      throw new ImpossibleInJuju(`${to} cannot lead ${name}`);
    application.leader = to;
  }

  /** Of one unit, or of all of an application. */
  updateStatus(name: string): void {
    const units = name.includes('/') ? [this.#unit(name)] : [...this.#application(name).units.values()];
    for (const unit of units) unit.updateStatus = true;
  }

  /** Resolves when it ran, so `settle` or `step` must go on beside it. */
  startAction(
    name: string,
    action: string,
    parameters: Readonly<Record<string, unknown>> = {},
  ): Promise<ActionOutcome> {
    const unit = this.#unit(name);
    const declared = unit.application.charm.actions.get(action);
    if (declared === undefined) throw new ImpossibleInJuju(`${unit.application.name} has no action ${action}`);
    for (const [parameter, value] of Object.entries(parameters)) {
      const type = declared[parameter]?.type;
      if (declared[parameter] === undefined || (type !== undefined && !isOfJsonType(value, type)))
        throw new ImpossibleInJuju(`action ${action} takes no ${parameter} like ${String(value)}`);
    }
    const defaults = Object.entries(declared).flatMap(([parameter, { default: value }]) =>
      value === undefined ? [] : [[parameter, value] as const],
    );
    const { promise, resolve } = Promise.withResolvers<ActionOutcome>();
    this.#count += 1;
    unit.actions.push({
      id: this.#count,
      name: action,
      parameters: { ...Object.fromEntries(defaults), ...parameters },
      finished: resolve,
    });
    return promise;
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
    const ran = await this.#run(this.#unit(name), hook, { script: watched });
    if (failures.length > 0) throw failures[0];
    return ran;
  }

  /** A hook that Juju would dispatch to a charm of another version: this one need not know it. */
  async dispatch(name: string, hook: string, environment: Values = {}): Promise<RanHook> {
    const never = { name: hook, action: null, environment, relation: null, done: () => {} };
    return await this.#run(this.#unit(name), never, {});
  }

  /** Not waiting for its hooks. */
  addUserSecret(content: Values, to: readonly string[]): string {
    const xid = this.#newXid();
    this.#secrets.set(xid, {
      xid,
      owner: { kind: 'user', name: 'admin' },
      label: '',
      description: '',
      revisions: new Map([[1, content]]),
      latest: 1,
      toldObsolete: new Set(),
      grants: to.map((application) => ({ to: application, relation: null })),
      consumers: new Map(),
    });
    return `secret:${xid}`;
  }

  // What time does.

  /** Runs one hook of some unit; null when no unit has one. */
  async step(): Promise<RanHook | null> {
    const due = this.#chance
      .shuffled(this.#units(), ({ name }) => name)
      .flatMap((unit) => {
        const hook = nextHook(unit, this.#world());
        return hook === null ? [] : [{ unit, hook }];
      });
    this.#bury();
    const [next] = due.toSorted((a, b) => patienceFor(a.unit) - patienceFor(b.unit));
    return next === undefined ? null : await this.#run(next.unit, next.hook, null);
  }

  /** Runs hooks until there are none; those that ran. Rejects with HookFailed when one fails `attempts` times in a row. */
  async settle({
    attempts = 5,
    atMost = 2_000,
  }: {
    readonly attempts?: number;
    readonly atMost?: number;
  } = {}): Promise<readonly RanHook[]> {
    const ran: RanHook[] = [];
    for (let next = await this.step(); next !== null; next = await this.step()) {
      ran.push(next);
      if (!next.succeeded && (this.#findUnit(next.unit)?.failed?.attempts ?? 0) >= attempts) throw new HookFailed(next);
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
    const { directory, address } = this.#agentOrThrow;
    const starts: number[] = [];
    for (let start = 0; start < 9; start += 1) {
      const began = performance.now();
      const { promise: asked, resolve } = Promise.withResolvers<number>();
      const contextId = `measured-${start}`;
      this.#measured.set(contextId, resolve);
      const environment = { JUJU_CONTEXT_ID: contextId, JUJU_AGENT_SOCKET_ADDRESS: address };
      const child = spawn(join(directory, 'is-leader'), [], { env: environment, stdio: 'ignore' });
      const [at] = await Promise.all([asked, once(child, 'close')]);
      starts.push(at - began);
    }
    return starts.toSorted((a, b) => a - b)[4] ?? 0;
  }

  // What there is to see.

  get applications(): ReadonlyMap<string, Application> {
    return this.#applications;
  }
  get relations(): ReadonlyMap<number, Relation> {
    return this.#relations;
  }
  get secrets(): ReadonlyMap<string, SecretThing> {
    return this.#secrets;
  }

  unit(name: string): Unit {
    return this.#unit(name);
  }
  unitsOf(application: string): readonly string[] {
    return [...this.#application(application).units.keys()];
  }
  leaderOf(application: string): string | null {
    return this.#application(application).leader;
  }
  statusOf(name: string): Status | null {
    return name.includes('/') ? this.#unit(name).status : this.#application(name).status;
  }
  /** Of one endpoint: ids. */
  relationsOf(application: string, endpoint: string): readonly number[] {
    return [...this.#relations.values()].flatMap(({ id, sides }) =>
      sides.some((side) => side.application.name === application && side.endpoint === endpoint) ? [id] : [],
    );
  }
  /** Of a unit or an application, as stored. */
  bag(relation: number, member: string): Values {
    return this.#relation(relation).bags.get(member) ?? {};
  }
  /** The newest content; null when there is no such secret. */
  secret(id: string): Values | null {
    const secret = this.#secrets.get(xidOf(id));
    return secret?.revisions.get(secret.latest) ?? null;
  }

  // The machinery.

  #world(): World {
    return {
      chance: this.#chance,
      relations: this.#relations,
      secrets: this.#secrets,
      hasLeaderSettings: this.#versionNumbers[0] < 4,
    };
  }

  get #store(): Store {
    return {
      name: this.name,
      uuid: this.uuid,
      version: this.#versionNumbers,
      relations: this.#relations,
      secrets: this.#secrets,
      units: () => this.#units(),
      newXid: () => this.#newXid(),
      now: () => new Date(),
    };
  }

  /** `aside`: not one of the hooks that the agent would run now; a failure has no consequence. */
  async #run(unit: Unit, hook: Hook, aside: { readonly script?: Script } | null): Promise<RanHook> {
    const id = `${unit.name}-${hook.name}-${randomBytes(8).toString('hex')}`;
    const context = new HookContext(id, unit, hook, this.#store);
    await this.#unpack(unit);
    const running: Running = { context, calls: [], began: performance.now(), asked: 0, child: null };
    this.#running.set(id, running);
    this.#saysJuju(unit, hook);
    if (hook.relation !== null && hook.relation.remoteUnit !== null && hook.relation.kind === 'changed')
      unit.views.get(hook.relation.id)?.cache.delete(hook.relation.remoteUnit);
    const ended = await this.#runCharm(unit, hook, running, aside?.script).finally(() => this.#running.delete(id));
    const tookMs = performance.now() - running.began;
    const refusal = ended.code === 0 ? this.#flush(context) : null;
    const succeeded = ended.code === 0 && refusal === null;
    const stderr = refusal === null ? ended.stderr : `${ended.stderr}${refusal}`;
    await this.#conclude(context, { ...ended, stderr }, succeeded, aside !== null);
    const ran: RanHook = {
      unit: unit.name,
      hook: hook.action === null ? hook.name : `action:${hook.name}`,
      code: ended.code,
      succeeded,
      stdout: ended.stdout,
      stderr,
      tookMs,
      calls: running.calls,
    };
    this.history.push(ran);
    return ran;
  }

  async #runCharm(unit: Unit, hook: Hook, running: Running, script?: Script): Promise<Ended> {
    const { charm } = unit.application;
    const environment = {
      ...environmentOf(unit, hook, running.context.id, this.#place),
      ...this.#deployments.get(unit.application.name)?.environment?.(unit.name),
    };
    const played = script ?? ('script' in charm.body ? charm.body.script : undefined);
    if (played !== undefined)
      return await runScript(played, environment, unit.charmDirectory, (request) => this.#answer(request));
    return await runProcess(unit.charmDirectory, environment, this.#limitMs, this.#account, (child) => {
      running.child = child;
    });
  }

  get #agentOrThrow(): AgentSocket {
    if (this.#agent === null) throw new Error('the model is not open');
    return this.#agent;
  }

  get #place(): AgentPlace {
    const { address, directory } = this.#agentOrThrow;
    return { modelName: this.name, modelUuid: this.uuid, version: this.version, socket: address, tools: directory };
  }

  #flush(context: HookContext): string | null {
    try {
      context.flush();
      return null;
    } catch (cause) {
      if (!(cause instanceof FlushRefused)) throw cause;
      return `cannot commit changes of the hook: ${cause.message}\n`;
    }
  }

  async #conclude(
    context: HookContext,
    { code, stdout, stderr }: Ended,
    succeeded: boolean,
    isAside: boolean,
  ): Promise<void> {
    const { unit, hook } = context;
    if (succeeded && !isAside) {
      countDown(unit);
      this.#chance.turn(); // A hook that is run again changes nothing of what comes after it.
    }
    if (hook.action !== null) {
      hook.done();
      hook.action.finished(outcomeOf(hook.action, context, { code: succeeded ? 0 : (code ?? 1) || 1, stdout, stderr }));
      return;
    }
    if (succeeded) {
      hook.done();
      if (unit.failed?.hook === hook) unit.failed = null;
    } else if (!isAside) {
      unit.failed = { hook, attempts: unit.failed?.hook === hook ? unit.failed.attempts + 1 : 1 };
    }
    if (succeeded && hook.name === 'start' && unit.status.message === installing)
      unit.status = { word: 'unknown', message: '' }; // The charm has never said anything.
    if (unit.done.stopped && unit.life === 'alive') await this.#renewPod(unit);
    this.#bury();
  }

  /** Juju sets these itself, and a charm that wants others must set them again. */
  #saysJuju(unit: Unit, hook: Hook): void {
    if (hook.name === 'install') unit.status = { word: 'maintenance', message: installing };
    if (hook.name === 'stop') unit.status = { word: 'maintenance', message: 'stopping charm software' };
  }

  async #answer(request: ToolRequest): Promise<ToolAnswer> {
    const running = this.#running.get(request.contextId);
    this.#measured.get(request.contextId)?.(performance.now());
    this.#measured.delete(request.contextId);
    if (running === undefined) return { code: 1, stdout: '', stderr: `ERROR unknown context "${request.contextId}"\n` };
    const began = performance.now();
    const { unit, hook } = running.context;
    const index = running.asked;
    running.asked += 1;
    const call = {
      unit: unit.name,
      hook: hook.action === null ? hook.name : `action:${hook.name}`,
      index,
      tool: request.tool,
      args: request.args,
    };
    let input: string | null = null;
    const fault = this.faultAt(call);
    if (fault === 'killBefore') running.child?.kill('SIGKILL');
    const heard: ToolRequest = {
      ...request,
      input: async () => {
        input ??= await request.input();
        return input;
      },
    };
    const isDone = fault === null || fault === 'after' || fault === 'killAfter';
    const answer = isDone
      ? await answerTool(running.context, heard, (record) => this.logs.push(record))
      : refusedBy(fault);
    if (fault === 'killAfter') running.child?.kill('SIGKILL');
    const askedAtMs = began - running.began;
    running.calls.push({ ...call, input, code: answer.code, askedAtMs, tookMs: performance.now() - began });
    return fault === null ? answer : refusedBy(fault);
  }

  #addUnit(application: Application, number: number): void {
    const name = `${application.name}/${number}`;
    const unit: Unit = {
      name,
      number,
      application,
      address: this.#newAddress(application.name, name),
      charmDirectory: join(this.#home, `unit-${application.name}-${number}-${this.#next()}`, 'charm'),
      life: 'alive',
      status: { word: 'waiting', message: 'installing agent' },
      state: {},
      ports: new Set(),
      views: new Map(),
      done: { installed: false, started: false, stopped: false },
      told: { revision: null, options: null, leadership: null },
      workloads: new Map(),
      notices: [],
      actions: [],
      updateStatus: false,
      stopAsked: false,
      failed: null,
    };
    application.units.set(name, unit);
    this.#pebblesStart(unit);
    this.#elect(application);
  }

  #kill(unit: Unit): void {
    unit.life = 'dying';
    unit.updateStatus = false;
    unit.stopAsked = false;
    if (unit.application.leader === unit.name) {
      unit.application.leader = null;
      this.#elect(unit.application);
    }
  }

  #elect(application: Application): void {
    const alive = [...application.units.values()].filter(({ life }) => life === 'alive');
    application.leader ??= this.#chance.shuffled(alive, ({ name }) => name)[0]?.name ?? null;
  }

  async #renewPod(unit: Unit): Promise<void> {
    await rm(unit.charmDirectory, { recursive: true, force: true });
    unit.charmDirectory = join(this.#home, `unit-${unit.application.name}-${unit.number}-${this.#next()}`, 'charm');
    unit.address = this.#newAddress(unit.application.name, unit.name);
    unit.done.started = false;
    unit.done.stopped = false;
    unit.stopAsked = false;
    unit.told = { ...unit.told, revision: null, options: null };
    this.#pebblesStart(unit);
    await this.#deployments.get(unit.application.name)?.newPod?.(unit.name);
  }

  #pebblesStart(unit: Unit): void {
    for (const container of unit.application.charm.containers)
      unit.workloads.set(container, { in: this.#chance.below(6, `${unit.name} ${container}`) });
  }

  /** The agent's own copy: what the charm writes there is gone with the pod. */
  async #unpack(unit: Unit): Promise<void> {
    const { body } = unit.application.charm;
    try {
      await mkdir(join(unit.charmDirectory, '..'));
    } catch (cause) {
      if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return;
      throw cause;
    }
    await mkdir(unit.charmDirectory);
    if (this.#account !== null) await chmod(unit.charmDirectory, 0o777);
    if (!('directory' in body)) return;
    for (const entry of await readdir(body.directory))
      await symlink(join(body.directory, entry), join(unit.charmDirectory, entry));
  }

  #addRelation(sides: readonly Side[]): number {
    const id = this.#next();
    this.#relations.set(id, { id, sides, dying: false, members: new Set(), bags: new Map(), versions: new Map() });
    return id;
  }

  /** What nobody holds any more is gone. */
  #bury(): void {
    for (const unit of this.#units()) {
      if (unit.life !== 'dead') continue;
      unit.application.units.delete(unit.name);
      this.#forgetSecretsOf(unit.name);
    }
    for (const { id, sides, dying, members } of this.#relations.values()) {
      const [first, second] = sides;
      const isOver = second === undefined ? first?.application.dying === true : dying;
      if (isOver && members.size === 0 && (second !== undefined || first?.application.units.size === 0))
        this.#relations.delete(id);
    }
    for (const application of this.#applications.values()) {
      const isRelated = [...this.#relations.values()].some(({ sides }) =>
        sides.some((side) => side.application === application),
      );
      if (!application.dying || application.units.size > 0 || isRelated) continue;
      this.#applications.delete(application.name);
      this.#forgetSecretsOf(application.name);
    }
  }

  #forgetSecretsOf(owner: string): void {
    for (const secret of this.#secrets.values()) {
      if (secret.owner.name === owner) this.#secrets.delete(secret.xid);
      secret.consumers.delete(owner);
    }
  }

  #units(): readonly Unit[] {
    return [...this.#applications.values()].flatMap(({ units }) => [...units.values()]);
  }
  #next(): number {
    this.#count += 1;
    return this.#count;
  }
  /** Twenty letters and digits, as Juju's. */
  #newXid(): string {
    const letters = '0123456789abcdefghijklmnopqrstuv';
    return Array.from(randomBytes(20), (byte) => letters[byte % letters.length]).join('');
  }
  #newAddress(application: string, unit: string): string {
    const number = this.#next();
    return this.#deployments.get(application)?.address?.(unit) ?? `10.1.${number >> 8}.${number & 255}`;
  }

  #application(name: string): Application {
    const application = this.#applications.get(name);
    if (application === undefined) throw new ImpossibleInJuju(`there is no application ${name}`);
    return application;
  }
  #findUnit(name: string): Unit | undefined {
    return this.#units().find((unit) => unit.name === name);
  }
  #unit(name: string): Unit {
    const unit = this.#findUnit(name);
    if (unit === undefined) throw new ImpossibleInJuju(`there is no unit ${name}`);
    return unit;
  }
  #relation(id: number): Relation {
    const relation = this.#relations.get(id);
    if (relation === undefined) throw new ImpossibleInJuju(`there is no relation ${id}`);
    return relation;
  }
  #side(text: string): Side {
    const [name = '', endpoint = ''] = text.split(':');
    const application = this.#application(name);
    if (application.dying) throw new ImpossibleInJuju(`${name} is being removed`);
    if (!application.charm.endpoints.has(endpoint)) throw new ImpossibleInJuju(`${name} has no endpoint ${endpoint}`);
    return { application, endpoint };
  }
  #known(unit: Unit, container: string): void {
    if (!unit.application.charm.containers.includes(container))
      throw new ImpossibleInJuju(`${unit.application.name} has no container ${container}`);
  }
}

/** Failed once, a hook is run again at once; then later and later, so the others go first. */
const patienceFor = ({ failed }: Unit): number => (failed === null || failed.attempts < 2 ? 0 : failed.attempts);

const installing = 'installing charm software';

const refusedBy = (fault: Fault): ToolAnswer => ({
  code: 1,
  stdout: '',
  stderr: `ERROR ${typeof fault === 'string' ? 'connection is shut down' : fault.says}\n`,
});

const isProviderAndRequirer = (found: readonly ({ readonly role: string } | undefined)[]): boolean =>
  ['provides', 'requires'].every((role) => found.some((endpoint) => endpoint?.role === role));

const isOfType = (value: OptionValue, type: CharmOption['type']): boolean => {
  if (type === 'int') return Number.isInteger(value);
  if (type === 'float') return typeof value === 'number';
  if (type === 'secret') return typeof value === 'string' && value.startsWith('secret:');
  return typeof value === type;
};

const isOfJsonType = (value: unknown, type: string): boolean =>
  type === 'integer' ? Number.isInteger(value) : type === 'array' ? Array.isArray(value) : typeof value === type;

const outcomeOf = (
  { name }: PendingAction,
  { results, actionFailure }: HookContext,
  { code, stdout, stderr }: { readonly code: number; readonly stdout: string; readonly stderr: string },
): ActionOutcome => ({
  status: code === 0 && actionFailure === null ? 'completed' : 'failed',
  message: actionFailure ?? (code === 0 ? '' : `action "${name}" failed: exit status ${code}`),
  results: {
    ...results,
    ...(stdout === '' ? {} : { stdout }),
    ...(stderr === '' ? {} : { stderr }),
    'return-code': code,
  },
});
