/** The agents of all units: they run a hook with its tools to the end, and keep or drop what it staged. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { AgentSocket, type ToolAnswer, type ToolRequest } from './agent-socket.ts';
import type { Script } from './charm.ts';
import type { Controller } from './controller.ts';
import { type Account, type Ended, runProcess, runScript } from './dispatch-run.ts';
import { FlushRefused, HookContext, type LogRecord } from './hook-context.ts';
import { type AgentPlace, environmentOf } from './hook-environment.ts';
import type { Fault, FaultAt, RanHook, ToolCallRecord } from './hook-record.ts';
import { answerTool, toolsOf } from './hook-tools.ts';
import { bury } from './life.ts';
import { countDown } from './next-hook.ts';
import { renewPod, unpackCharm } from './pods.ts';
import type { ActionOutcome, Hook, PendingAction, Unit } from './things.ts';

interface Running {
  readonly context: HookContext;
  readonly calls: ToolCallRecord[];
  readonly began: number;
  asked: number;
  child: ChildProcess | null;
}

export class Agents implements AsyncDisposable {
  /** Everything that was logged. */
  readonly logs: LogRecord[] = [];
  /** Every hook that ran. */
  readonly history: RanHook[] = [];
  /** Asked for each call of a hook tool. */
  faultAt: FaultAt = () => null;
  readonly #controller: Controller;
  readonly #account: Account | null;
  readonly #limitMs: number;
  readonly #running = new Map<string, Running>();
  readonly #measured = new Map<string, (at: number) => void>();
  #socket: AgentSocket | null = null;

  private constructor(controller: Controller, account: Account | null, limitMs: number) {
    this.#controller = controller;
    this.#account = account;
    this.#limitMs = limitMs;
  }

  static async open(controller: Controller, account: Account | null, limitMs: number): Promise<Agents> {
    const agents = new Agents(controller, account, limitMs);
    const tools = toolsOf(controller.versionNumbers);
    agents.#socket = await AgentSocket.open(controller.home, tools, (request) => agents.#answer(request));
    return agents;
  }

  /** What was told is again what is told by now, once what is returned is called. */
  keep(): () => void {
    const [logs, hooks] = [this.logs.length, this.history.length];
    return () => {
      this.logs.length = Math.min(logs, this.logs.length);
      this.history.length = Math.min(hooks, this.history.length);
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#running.values()) child?.kill('SIGKILL');
    await this.#socket?.[Symbol.asyncDispose]();
  }

  /** `aside`: not one of the hooks that the agent would run now; a failure has no consequence. */
  async run(unit: Unit, hook: Hook, aside: { readonly script?: Script } | null): Promise<RanHook> {
    const id = `${unit.name}-${hook.name}-${randomBytes(8).toString('hex')}`;
    const context = new HookContext(id, unit, hook, this.#controller.store);
    await unpackCharm(unit, this.#account);
    const running: Running = { context, calls: [], began: performance.now(), asked: 0, child: null };
    this.#running.set(id, running);
    saysJuju(unit, hook);
    if (hook.relation !== null && hook.relation.remoteUnit !== null && hook.relation.kind === 'changed')
      unit.views.get(hook.relation.id)?.cache.delete(hook.relation.remoteUnit);
    const ended = await this.#runCharm(unit, hook, running, aside?.script).finally(() => this.#running.delete(id));
    const tookMs = performance.now() - running.began;
    const refusal = ended.code === 0 ? flush(context) : null;
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

  /** What it takes from the start of a hook tool until it asks, in ms: the middle one of some. */
  async toolStartMs(): Promise<number> {
    const { directory, address } = this.#socketOrThrow;
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

  async #runCharm(unit: Unit, hook: Hook, running: Running, script?: Script): Promise<Ended> {
    const { charm } = unit;
    const environment = {
      ...environmentOf(unit, hook, running.context.id, this.#place),
      ...this.#controller.deployments.get(unit.application.name)?.environment?.(unit.name),
    };
    const played = script ?? ('script' in charm.body ? charm.body.script : undefined);
    if (played !== undefined)
      return await runScript(
        played,
        environment,
        unit.charmDirectory,
        (request) => this.#answer(request),
        toolsOf(this.#controller.versionNumbers),
      );
    const deployed = this.#controller.deployments.get(unit.application.name);
    const within = (await deployed?.within?.(unit.name, unit.charmDirectory)) ?? [];
    const as = { limitMs: this.#limitMs, account: this.#account, within };
    return await runProcess(unit.charmDirectory, environment, as, (child) => {
      running.child = child;
    });
  }

  get #socketOrThrow(): AgentSocket {
    if (this.#socket === null) throw new Error('the model is not open');
    return this.#socket;
  }

  get #place(): AgentPlace {
    const { address, directory } = this.#socketOrThrow;
    const { modelName, uuid, version } = this.#controller;
    return { modelName, modelUuid: uuid, version, socket: address, tools: directory };
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
      this.#controller.chance.turn(); // A hook that is run again changes nothing of what comes after it.
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
    if (unit.done.stopped && unit.life === 'alive') await renewPod(this.#controller, unit);
    bury(this.#controller);
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
    const { environment } = request;
    running.calls.push({
      ...call,
      input,
      environment,
      code: answer.code,
      askedAtMs,
      tookMs: performance.now() - began,
    });
    return fault === null ? answer : refusedBy(fault);
  }
}

/** What the controller says when it does not take it; null when it did. */
const flush = (context: HookContext): string | null => {
  try {
    context.flush();
    return null;
  } catch (cause) {
    if (!(cause instanceof FlushRefused)) throw cause;
    return `cannot commit changes of the hook: ${cause.message}\n`;
  }
};

const installing = 'installing charm software';

/** Juju sets these itself, and a charm that wants others must set them again. */
const saysJuju = (unit: Unit, hook: Hook): void => {
  if (hook.name === 'install') unit.status = { word: 'maintenance', message: installing };
  if (hook.name === 'stop') unit.status = { word: 'maintenance', message: 'stopping charm software' };
};

const refusedBy = (fault: Fault): ToolAnswer => ({
  code: 1,
  stdout: '',
  stderr: `ERROR ${typeof fault === 'string' ? 'connection is shut down' : fault.says}\n`,
});

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
