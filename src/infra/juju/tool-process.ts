import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { codeOf } from '../files/system-error.ts';
import type { Environment } from './environment.ts';
import { refusalKindOf, ToolRefusal, wordsOf } from './tool-refusal.ts';

export interface ToolCall {
  /** Of the executable, looked for on the PATH of the dispatch. */
  readonly tool: string;
  /** Everybody on the machine can read them: no secrets. */
  readonly args: readonly string[];
  /** For `--file -`. Without it the tool gets /dev/null: some wait for an end of input that nobody sends. */
  readonly input?: string;
}

/** What the tool printed; rejects with ToolRefusal, and with nothing else that the outside world can cause. */
export type RunTool = (call: ToolCall) => Promise<string>;

/**
 * Hook tools as processes. They work only under the environment of a dispatch, which they get untouched. The agent answers one at a
 * time and lets further ones wait; but each takes longer to start than to be answered, so that a few are started side by side.
 */
export const toolsOnPath = (environment: Environment, limitMs: number): RunTool => {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (call) => {
    if (running === atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await ran(call, environment, limitMs);
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
};

/** Each is as large as the agent's own client, in a container that is not. */
const atOnce = 4;

const ran = async (call: ToolCall, environment: Environment, limitMs: number): Promise<string> => {
  const { child, stdout, stderr } = started(call, environment);
  const { tool } = call;
  // Not that of `spawn`: after a start that failed it would keep this process for as long.
  const limit = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const [said, complaint] = [textOf(stdout), textOf(stderr)];
  try {
    await once(child, 'close');
  } catch (cause) {
    throw notRun(tool, cause);
  } finally {
    clearTimeout(limit);
  }
  if (child.exitCode === 0) return said();
  if (child.signalCode !== null) throw new ToolRefusal(tool, 'failed', whyKilled(child.signalCode, limitMs));
  throw new ToolRefusal(tool, refusalKindOf(tool, complaint()), wordsOf(complaint()));
};

/** What it has said so far. */
const textOf = (stream: Readable): (() => string) => {
  let text = '';
  stream.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  return () => text;
};

const started = ({ tool, args, input }: ToolCall, environment: Environment): Started => {
  const options = { env: environment } as const;
  try {
    if (input === undefined) {
      const child = spawn(tool, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
      return { child, stdout: child.stdout, stderr: child.stderr };
    }
    const child = spawn(tool, args, { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
    // What a tool that ended early did not read is its own affair: how it ended says more.
    child.stdin.on('error', () => undefined).end(input);
    return { child, stdout: child.stdout, stderr: child.stderr };
  } catch (cause) {
    throw notRun(tool, cause); // Arguments that are too long are refused at once.
  }
};

interface Started {
  readonly child: ChildProcess;
  readonly stdout: Readable;
  readonly stderr: Readable;
}

const notRun = (tool: string, cause: unknown): ToolRefusal => {
  const code = codeOf(cause);
  const says = refusedStart.get(code) ?? `it cannot be run (${String(code)})`;
  return new ToolRefusal(tool, code === 'ENOENT' ? 'missingTool' : 'failed', says, { cause });
};

const refusedStart: ReadonlyMap<unknown, string> = new Map([
  ['ENOENT', 'this Juju has no such tool'],
  ['E2BIG', 'its arguments are longer than a process may have'],
]);

const whyKilled = (signal: string, limitMs: number): string =>
  signal === 'SIGKILL' ? `no answer within ${limitMs / 1000} s` : `it was ended by ${signal}`;
