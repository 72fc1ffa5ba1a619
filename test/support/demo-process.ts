import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { processesUsing } from '../../src/infra/local/processes.ts';
import { markOf, type ProcessMark } from '../../src/infra/files/process-mark.ts';
import { troupeProgram } from './servers.ts';

const main = await troupeProgram();

/** `troupe demo` as a person starts it, with sockets in a directory of its own. */
export interface DemoProcess {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** Resolves when stderr or stdout holds the text; rejects when the demo ends before. */
  says(text: string): Promise<void>;
  /** Resolves to its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  /** Where it lives, once it has said so. */
  directory(): string;
}

export const startDemo = (args: readonly string[], runDir: string): DemoProcess => {
  const child = spawn(process.execPath, [main, 'demo', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], TROUPE_RUN_DIR: runDir },
  });
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text;
    });
  const ended = once(child, 'close').then(([code, signal]) => code ?? signal);
  onTestFinished(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const says = async (text: string): Promise<void> => {
    while (!said.stdout.includes(text) && !said.stderr.includes(text)) {
      const more = [once(child.stdout, 'data'), once(child.stderr, 'data')];
      const isOver = await Promise.race([...more.map((one) => one.then(() => false)), ended.then(() => true)]);
      if (isOver && !said.stdout.includes(text)) throw new Error(`it ended before it said "${text}": ${said.stderr}`);
    }
  };
  const directory = (): string => {
    const found = /\/tmp\/troupe-demo-[0-9a-f]+/.exec(said.stderr)?.[0];
    if (found === undefined) throw new Error(`it has not said where it lives: ${said.stderr}`);
    return found;
  };
  return { child, stdout: () => said.stdout, stderr: () => said.stderr, says, ended, directory };
};

/** Everything of a demo that runs, but the demo itself. */
export const processesOf = async (directory: string): Promise<readonly ProcessMark[]> =>
  (await processesUsing(directory)).map(markOf).filter((mark) => mark !== null);
