import { type ChildProcess, spawn } from 'node:child_process';
import { open, readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ProcessMark } from '../files/process-mark.ts';
import { markOf } from '../files/process-mark.ts';
import { type Account, spawnIds } from './service-user.ts';

export interface Program {
  readonly command: string;
  readonly args: readonly string[];
  readonly directory: string;
  /** Without one it gets our rights. */
  readonly account?: Account;
  /** stdout and stderr are appended here. */
  readonly log: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Told as soon as there is a process, long before it is ready. */
  readonly onSpawned?: OnSpawned | undefined;
}

/** Puts a process on record; null when it has ended already. */
export type OnSpawned = (mark: ProcessMark | null) => Promise<void>;

/** A signal, and how long it has before the next one. */
export type Escalation = readonly (readonly [signal: NodeJS.Signals, graceMs: number])[];

/** A server that runs as a child of ours, in its own session: a Ctrl-C in the terminal does not reach it. */
export interface ServerProcess {
  /** Null when it had ended before it could be looked at. */
  readonly mark: ProcessMark | null;
  readonly pid: number;
  /** Resolves with what became of it ("ended with code 1") once it has ended. */
  readonly ended: Promise<string>;
  isRunning(): boolean;
  signal(signal: NodeJS.Signals): void;
  /** Ends it by the signals given, then by SIGKILL; resolves when it is gone. */
  stop(escalation: Escalation): Promise<void>;
}

export const startProcess = async (program: Program): Promise<ServerProcess> => {
  const child = await spawned(program);
  const pid = child.pid;
  if (pid === undefined) throw new Error(`cannot start ${program.command}: it got no process id`);
  const ended = new Promise<string>((resolve) => child.once('exit', (code, signal) => resolve(fateOf(code, signal))));
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const signal = (name: NodeJS.Signals): void => {
    child.kill(name); // False when it has ended already.
  };
  const mark = markOf(pid);
  const started: ServerProcess = {
    mark,
    pid,
    ended,
    isRunning,
    signal,
    stop: async (escalation) => {
      for (const [name, graceMs] of escalation) {
        if (!isRunning()) return;
        signal(name);
        signal('SIGCONT'); // A frozen process takes no other signal.
        if (await endsWithin(ended, graceMs)) return;
      }
      signal('SIGKILL');
      await ended;
    },
  };
  try {
    await program.onSpawned?.(mark);
    return started;
  } catch (cause) {
    await started.stop([]);
    throw cause;
  }
};

/** Asks until the server answers; an end of its process, or the deadline, is an error with the last lines of its log. */
export const untilReady = async <T>(
  server: ServerProcess,
  program: Program,
  deadlineMs: number,
  ask: () => Promise<T>,
): Promise<T> => {
  const name = basename(program.command);
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await ask();
    } catch (cause) {
      const trouble = server.isRunning() ? `does not answer: ${messageOf(cause)}` : await server.ended;
      if (!server.isRunning() || performance.now() > deadline) {
        throw new Error(`cannot start ${name}: it ${trouble}${await lastLines(program.log)}`, { cause });
      }
      await Promise.race([delay(pauseMs), server.ended]);
    }
  }
};

/** The end of a log as the end of a sentence; nothing when there is none. */
export const lastLines = async (log: string): Promise<string> => {
  const text = await readFile(log, 'utf8').catch(() => '');
  const lines = text.trimEnd().split('\n').slice(-5).join('\n  ');
  return lines === '' ? '' : `; its last words:\n  ${lines}`;
};

const pauseMs = 25;

const spawned = async (program: Program): Promise<ChildProcess> => {
  const log = await open(program.log, 'a', 0o600);
  try {
    const child = withPrivateFiles(() =>
      spawn(program.command, program.args, {
        cwd: program.directory,
        env: { PATH: '/usr/bin:/bin', LANG: 'C.UTF-8', ...program.environment },
        stdio: ['ignore', log.fd, log.fd],
        detached: true,
        ...(program.account === undefined ? {} : spawnIds(program.account)),
      }),
    );
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', (cause) =>
        reject(new Error(`cannot start ${program.command}${asWhom(program)}: ${cause.message}`, { cause })),
      );
    });
    return child;
  } finally {
    await log.close();
  }
};

/** Redis, for one, makes its files as the mask of its parent allows. */
const withPrivateFiles = <T>(work: () => T): T => {
  const before = process.umask(0o077);
  try {
    return work();
  } finally {
    process.umask(before);
  }
};

const asWhom = ({ account }: Program): string => (account === undefined ? '' : ` as "${account.name}"`);

const endsWithin = async (ended: Promise<string>, graceMs: number): Promise<boolean> => {
  const waiting = new AbortController();
  const late = delay(graceMs, false, { signal: waiting.signal }).catch(() => false);
  const gone = await Promise.race([ended.then(() => true), late]);
  waiting.abort();
  return gone;
};

const fateOf = (code: number | null, signal: NodeJS.Signals | null): string =>
  signal === null ? `ended with code ${code ?? 'unknown'}` : `was ended by ${signal}`;

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause));
