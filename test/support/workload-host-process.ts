/**
 * A coordinator reduced to its process workload, driven over IPC by workload-host.ts. PgBouncer refuses to run as root, and its
 * console wants a caller with the same user id: so everything is imported first, from a checkout that only root may be able to
 * read, and then this process becomes the service account.
 */
import { flushCompileCache } from 'node:module';
import { type Workload, WorkloadUnavailable } from '../../src/actors/ports/workload.ts';
import { createSystemClock } from '../../src/infra/clock/system-clock.ts';
import type { Log } from '../../src/infra/files/log.ts';
import { openProcessWorkload } from '../../src/infra/process/workload.ts';
import { pack, type Question, unpack, type Word } from './workload-wire.ts';

flushCompileCache(); // It may well be killed before it ends by itself, which would keep it too.

const print = (fields: object, message: string): void => console.error(message, fields);
const log: Log = { debug: () => {}, info: () => {}, warn: print, error: print };
const asked = new Map<number, AbortController>();
let workload: Workload | null = null;

const say = (word: Word): void => {
  process.send?.(pack(word));
};

const opened = (): Workload => {
  if (workload === null) throw new Error('the workload was not opened');
  return workload;
};

const become = ({ uid, gid }: { readonly uid: number; readonly gid: number }): void => {
  if (process.getuid?.() !== 0 || uid === 0) return;
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
};

const answer = async (question: Question, signal: AbortSignal): Promise<unknown> => {
  switch (question.type) {
    case 'open':
      become(question.account);
      workload = await openProcessWorkload({ ...question.options, clock: createSystemClock(), log });
      workload.onExit((instance, how) => say({ type: 'exited', instance, how }));
      return null;
    case 'inspect':
      return await opened().inspect(signal);
    case 'take':
      return await opened().take(question.step, signal);
    case 'show':
      return await opened().show(question.instance, question.what, signal);
    case 'connected':
      return await opened().connected(signal);
    case 'abort':
      asked.get(question.question)?.abort();
      return null;
    case 'cpu':
      return process.cpuUsage();
    case 'dispose':
      await opened()[Symbol.asyncDispose]();
      return null;
  }
};

const handle = async (question: Question): Promise<void> => {
  const { id } = question;
  const controller = new AbortController();
  asked.set(id, controller);
  try {
    say({ type: 'answer', id, value: (await answer(question, controller.signal)) ?? null });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const stack = cause instanceof Error ? (cause.stack ?? reason) : reason;
    say(
      cause instanceof WorkloadUnavailable
        ? { type: 'unavailable', id, reason }
        : { type: 'defect', id, reason: stack },
    );
  } finally {
    asked.delete(id);
  }
};

process.on('message', (line: string) => void handle(unpack(line)));
process.on('disconnect', () => process.exit());
