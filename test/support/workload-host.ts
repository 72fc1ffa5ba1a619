import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { type Workload, WorkloadUnavailable } from '../../src/actors/ports/workload.ts';
import type { Account } from '../../src/infra/local/service-user.ts';
import { type HostOptions, pack, type Question, unpack, type Word } from './workload-wire.ts';

/** A process workload in a process of its own: that of a coordinator, which can be killed without a word. */
export interface WorkloadHost {
  readonly pid: number;
  readonly workload: Workload;
  cpuMicros(): Promise<number>;
  /** With -9. */
  kill(): Promise<void>;
}

/** `environment` is what the coordinator's own environment holds; a test plants markers in it. */
export const openWorkloadHost = async (
  options: HostOptions,
  account: Account,
  environment: Readonly<Record<string, string>> = {},
): Promise<WorkloadHost> => {
  const program = fileURLToPath(new URL('workload-host-process.ts', import.meta.url));
  const child = fork(program, [], {
    execArgv: [],
    // What the first host compiled is there for the others: that is most of what starting one costs.
    env: { NODE_COMPILE_CACHE: join(inject('testServers').root, 'compiled'), ...environment },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const wire = wireTo(child);
  try {
    await wire.ask({ type: 'open', options, account });
  } catch (cause) {
    child.kill('SIGKILL');
    throw cause;
  }
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
  return {
    pid: child.pid ?? 0,
    workload: workloadOver(wire, kill),
    cpuMicros: async () => {
      const { user, system } = await wire.ask<NodeJS.CpuUsage>({ type: 'cpu' });
      return user + system;
    },
    kill,
  };
};

interface Wire {
  readonly ask: <T>(question: Unnumbered, signal?: AbortSignal) => Promise<T>;
  readonly exits: Set<(instance: number, how: string) => void>;
}
type Unnumbered = Question extends infer Q ? (Q extends Question ? Omit<Q, 'id'> : never) : never;

const workloadOver = ({ ask, exits }: Wire, kill: () => Promise<void>): Workload => ({
  inspect: (signal) => ask({ type: 'inspect' }, signal),
  take: (step, signal) => ask({ type: 'take', step }, signal),
  show: (instance, what, signal) => ask({ type: 'show', instance, what }, signal),
  connected: (signal) => ask({ type: 'connected' }, signal),
  onExit: (listener) => {
    exits.add(listener);
    return { [Symbol.dispose]: () => exits.delete(listener) };
  },
  [Symbol.asyncDispose]: async () => {
    await ask({ type: 'dispose' });
    await kill();
  },
});

const wireTo = (child: ChildProcess): Wire => {
  const waiting = new Map<number, (word: Extract<Word, { readonly id: number }>) => void>();
  const exits = new Set<(instance: number, how: string) => void>();
  let asked = 0;
  child.on('message', (line: string) => {
    const word: Word = unpack(line);
    if (word.type === 'exited') for (const listener of exits) listener(word.instance, word.how);
    else waiting.get(word.id)?.(word);
  });
  child.once('exit', () => {
    for (const [id, settle] of waiting) settle({ type: 'unavailable', id, reason: 'the coordinator is gone' });
  });
  const send = (question: Unnumbered): number => {
    asked += 1;
    child.send(pack({ ...question, id: asked }));
    return asked;
  };
  const ask: Wire['ask'] = (question, signal) =>
    new Promise((resolve, reject) => {
      const id = send(question);
      const abort = (): number => send({ type: 'abort', question: id });
      signal?.addEventListener('abort', abort, { once: true });
      waiting.set(id, (word) => {
        waiting.delete(id);
        signal?.removeEventListener('abort', abort);
        if (word.type === 'answer') resolve(unpack(pack(word.value)));
        else if (word.type === 'unavailable') reject(new WorkloadUnavailable(word.reason));
        else reject(new Error(word.reason));
      });
      if (signal?.aborted === true) abort();
    });
  return { ask, exits };
};
