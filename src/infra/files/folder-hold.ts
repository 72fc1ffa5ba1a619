/**
 * Who is the unit of a folder. On a volume that many share, the folder alone does not tell a unit that is started again from a newcomer
 * that finds the folder of a unit elsewhere, which may serve its clients though nobody has heard of it for long. So a unit says in its
 * folder where it is and, every few seconds, that it lives. Where it is, is its host name: containers that share a volume need one each,
 * as they have unless somebody gives them one. A unit that is stuck, or frozen with its container, says nothing, and its PgBouncers may
 * serve: on the same machine others see by a socket that it has not ended.
 */
import { hash } from 'node:crypto';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Nonce } from '../../actors/model/ids.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { identityOf, readWhole, writeAtomic } from './atomic-file.ts';
import { listenerAt } from './listener-at.ts';
import { isAlive, isGone, isOfThisBoot, markOf, pidNamespace } from './process-mark.ts';
import { giveSignOfLife } from './sign-of-life.ts';
import { codeOf } from './system-error.ts';

const fileName = 'holder.json';
const heirPrefix = 'heir-';
/** With the beginning of the nonce: the path of a socket must be short. */
const signPrefix = 'lives-';
const maxBytes = 10_000;
const touchEveryMs = 5_000;
/** A machine that was busy for so long has other troubles. */
const deadAfterMs = 30_000;

const holderSchema = z.object({
  /** A container has a name of its own, and keeps it when it is started again. */
  host: z.string(),
  process: z.object({ pid: z.int(), startedAt: z.int(), bootId: z.string() }),
  /** Absent in what an earlier version wrote. */
  pidNamespace: z.string().optional(),
  nonce: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .transform((text) => text as Nonce)
    .optional(),
});

/** Who was the last to be the unit of a folder, as far as the folder tells. */
export type Holder =
  | { readonly kind: 'nobody' }
  /** Somebody elsewhere, who has not said for long that he lives. */
  | { readonly kind: 'silent' }
  /** Another process that may be the unit; it said so last at `signAt` (ms, wall clock). */
  | { readonly kind: 'other'; readonly signAt: number }
  /** A process where we are, which is not there any more. `nonce`: that of its run, where it is certain that it has ended. */
  | { readonly kind: 'ended'; readonly nonce: Nonce | null };

/** This process is the unit of the folder, until it is disposed of or given up. */
export class FolderHold implements Disposable {
  readonly #path: string;
  readonly #sign: Disposable;
  readonly #clock: Clock;
  #next: Disposable | null = null;

  private constructor(path: string, sign: Disposable, clock: Clock) {
    this.#path = path;
    this.#sign = sign;
    this.#clock = clock;
    this.#touchLater();
  }

  /** Before anything else is in the folder, which is made when it is missing: no other may take it for one that nobody has. */
  static async take(directory: string, nonce: Nonce, clock: Clock): Promise<FolderHold> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, fileName);
    const earlier = (await readdir(directory)).filter((name) => name.startsWith(signPrefix));
    const sign = await giveSignOfLife(signOf(directory, nonce));
    const holder = { host: hostname(), process: markOf(process.pid), pidNamespace: pidNamespace(), nonce };
    try {
      await writeAtomic(path, JSON.stringify(holder), 0o600);
      await Promise.all(earlier.map((name) => rm(join(directory, name), { force: true })));
    } catch (cause) {
      sign[Symbol.dispose]();
      throw cause;
    }
    return new FolderHold(path, sign, clock);
  }

  /**
   * The same of a folder whose unit seems to have ended, where no store can tell who of many came first: only one inherits what was
   * found there, and the others get null. Who ends midway leaves the folder to whoever asks the store.
   * `found`: tells the ledger that lies there from any other.
   */
  static async inherit(directory: string, found: string, nonce: Nonce, clock: Clock): Promise<FolderHold | null> {
    const holder = await identityOf(join(directory, fileName));
    if ((await holderOf(directory)).kind === 'other') return null;
    const heir = `${heirPrefix}${hash('sha256', `${found} ${holder}`).slice(0, 16)}`;
    try {
      await writeFile(join(directory, heir), '', { flag: 'wx', mode: 0o600 });
    } catch (cause) {
      if (codeOf(cause) === 'EEXIST') return null;
      throw cause;
    }
    const hold = await FolderHold.take(directory, nonce, clock);
    const earlier = (await readdir(directory)).filter((name) => name.startsWith(heirPrefix) && name !== heir);
    await Promise.all(earlier.map((name) => rm(join(directory, name), { force: true })));
    return hold;
  }

  /** For a unit whose PgBouncers have ended: whoever comes may be it, also when the store was not told. */
  async giveUp(): Promise<void> {
    this[Symbol.dispose]();
    await rm(this.#path, { force: true });
  }

  [Symbol.dispose](): void {
    this.#next?.[Symbol.dispose]();
    this.#next = null;
    this.#sign[Symbol.dispose]();
  }

  #touchLater(): void {
    this.#next = this.#clock.after(touchEveryMs, () => {
      this.#touchLater();
      const now = new Date();
      utimes(this.#path, now, now).catch(() => {}); // A folder that cannot be written is told of by whoever writes it.
    });
  }
}

export const holderOf = async (directory: string): Promise<Holder> => {
  const path = join(directory, fileName);
  try {
    const holder = holderSchema.parse(JSON.parse((await readWhole(path, maxBytes)) ?? ''));
    const isHere = holder.host === hostname();
    const lives = isHere && isAlive(holder.process);
    if (lives && holder.process.pid === process.pid) return { kind: 'nobody' };
    if (await isSeenToLive(directory, holder)) return { kind: 'other', signAt: Date.now() };
    if (isHere && !lives) return { kind: 'ended', nonce: hasSurelyEnded(holder) ? (holder.nonce ?? null) : null };
    const { mtimeMs } = await stat(path);
    return Date.now() - mtimeMs < deadAfterMs ? { kind: 'other', signAt: mtimeMs } : { kind: 'silent' };
  } catch {
    return { kind: 'nobody' }; // There is none, or nothing that a unit has written.
  }
};

const isSeenToLive = async (directory: string, { process, nonce }: z.infer<typeof holderSchema>): Promise<boolean> =>
  nonce !== undefined && isOfThisBoot(process) && (await listenerAt(signOf(directory, nonce))) === 'listens';

const signOf = (directory: string, nonce: Nonce): string => join(directory, `${signPrefix}${nonce.slice(0, 8)}`);

/**
 * Of a process that is not alive as far as we see: would we see it? Containers may have one host name, and machines too. A namespace
 * gets the name of an earlier one only when that has gone, with all processes in it. A process that has given up root may be hidden.
 */
const hasSurelyEnded = (holder: z.infer<typeof holderSchema>): boolean =>
  isOfThisBoot(holder.process) && holder.pidNamespace === pidNamespace() && isGone(holder.process.pid);
