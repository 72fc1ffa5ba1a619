/** Runs one dispatch of a unit to its end: a process in the charm's directory, or the test's script. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, constants } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { refusalKindOf, ToolRefusal, wordsOf } from '../../../src/infra/juju/tool-refusal.ts';
import { createJujuTools } from '../../../src/infra/juju/tools.ts';
import type { RunTool } from '../../../src/infra/juju/tool-process.ts';
import type { ToolAnswer, ToolRequest } from './agent-socket.ts';
import { ImpossibleInJuju, type Script } from './charm.ts';
import type { Values } from './things.ts';

export interface Ended {
  /** Null when it was killed. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** A program and its arguments that becomes the one named behind them, with the same environment. Empty: no such program. */
export type Within = readonly string[];

interface RunAs {
  readonly limitMs: number;
  readonly account: Account | null;
  readonly within: Within;
}

/** `started` hears of the process, so that a fault can end it. */
export const runProcess = async (
  directory: string,
  environment: Values,
  { limitMs, account, within }: RunAs,
  started: (child: ChildProcess) => void,
): Promise<Ended> => {
  const dispatch = join(directory, 'dispatch');
  await access(dispatch, constants.X_OK).catch((cause: unknown) => {
    throw new ImpossibleInJuju(`there is no executable dispatch in ${directory}`, { cause });
  });
  const [program, ...args] = [...within, dispatch];
  const child = spawn(program, args, {
    cwd: directory,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
    killSignal: 'SIGKILL',
    ...(account ?? {}),
  });
  started(child);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: child.exitCode, stdout, stderr };
};

/** The same hook tools without a process for each. */
export const runScript = async (
  script: Script,
  environment: Values,
  directory: string,
  answer: (request: ToolRequest) => Promise<ToolAnswer>,
  /** Those that this Juju has. */
  available: readonly string[],
): Promise<Ended> => {
  const contextId = environment['JUJU_CONTEXT_ID'] ?? '';
  const run: RunTool = async ({ tool, args, input }) => {
    if (!available.includes(tool)) throw new ToolRefusal(tool, 'missingTool', 'there is no such hook tool');
    const { code, stdout, stderr } = await answer({
      contextId,
      directory,
      environment: '',
      tool,
      args,
      input: () => Promise.resolve(input ?? ''),
    });
    if (code !== 0) throw new ToolRefusal(tool, refusalKindOf(tool, stderr), wordsOf(stderr));
    return stdout;
  };
  try {
    await script({ environment, tools: createJujuTools(run), run });
    return { code: 0, stdout: '', stderr: '' };
  } catch (cause) {
    return { code: 1, stdout: '', stderr: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) };
  }
};
