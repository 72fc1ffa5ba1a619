import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
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
 * Hook tools as processes. They work only under the environment of a dispatch, which they get untouched, and one at a time: the
 * agent lets further ones wait.
 */
export const toolsOnPath =
  (environment: Environment, limitMs: number): RunTool =>
  async (call) => {
    const { child, stdout, stderr } = started(call, environment, limitMs);
    const { tool } = call;
    const ended = once(child, 'close').catch((cause: unknown) => {
      throw notRun(tool, cause);
    });
    const [said, complaint] = await Promise.all([text(stdout), text(stderr), ended]);
    if (child.exitCode === 0) return said;
    if (child.signalCode !== null) throw new ToolRefusal(tool, 'failed', whyKilled(child.signalCode, limitMs));
    throw new ToolRefusal(tool, refusalKindOf(tool, complaint), wordsOf(complaint));
  };

const started = ({ tool, args, input }: ToolCall, environment: Environment, limitMs: number): Started => {
  const options = { env: environment, timeout: limitMs, killSignal: 'SIGKILL' } as const;
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
