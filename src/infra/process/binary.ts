import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { promisify } from 'node:util';
import type { Inspection } from '../../actors/model/workload.ts';
import { programFrom } from '../instances/program.ts';
import { environment } from './environment.ts';
import { codeOf } from '../files/system-error.ts';

/** The program on disk, which may be replaced while processes of an older one run. */
export class Binary {
  /** As it was named, for sentences. */
  readonly name: string;
  #known: { readonly file: ProgramFile; readonly answer: Inspection['binary'] } | null = null;

  /** An absolute path, or a name to be looked for where programs are. */
  constructor(name: string) {
    this.name = name;
  }

  /** Null when there is none. */
  async path(): Promise<string | null> {
    return (await this.#find())?.path ?? null;
  }

  /** Asked once for each file that is put there. */
  async version(): Promise<Inspection['binary']> {
    if (process.getuid?.() === 0) return missing('PgBouncer refuses to run as root: run this unit as another account');
    const file = await this.#find();
    if (file === null) return missing(`there is no PgBouncer at "${this.name}": ${remedy}`);
    if (this.#known?.file.path === file.path && this.#known.file.seal === file.seal) return this.#known.answer;
    const answer = await versionOf(file.path);
    this.#known = answer.kind === 'found' ? { file, answer } : null;
    return answer;
  }

  async #find(): Promise<ProgramFile | null> {
    const paths = isAbsolute(this.name) ? [this.name] : searched.map((directory) => join(directory, this.name));
    for (const path of paths) {
      const seal = await sealOf(path);
      if (seal !== null) return { path, seal };
    }
    return null;
  }
}

interface ProgramFile {
  readonly path: string;
  /** Another one when the file was replaced. */
  readonly seal: string;
}

/** So long the look at the whole unit may be held up by it. */
const answerMs = 2_000;
const searched = environment.PATH.split(':');
const remedy =
  'install it, on Debian and Ubuntu with "apt-get install pgbouncer", or name another program (TROUPE_PGBOUNCER)';
const missing = (reason: string): Inspection['binary'] => ({ kind: 'missing', reason });

const sealOf = async (path: string): Promise<string | null> => {
  try {
    const { ino, size, mtimeMs } = await stat(path);
    return `${ino} ${size} ${mtimeMs}`;
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT' || codeOf(cause) === 'ENOTDIR') return null;
    throw cause;
  }
};

const versionOf = async (path: string): Promise<Inspection['binary']> => {
  try {
    const options = { env: environment, timeout: answerMs, killSignal: 'SIGKILL' } as const;
    const { stdout } = await promisify(execFile)(path, ['-V'], options);
    return programFrom(path, stdout, 'name another program (TROUPE_PGBOUNCER)');
  } catch (cause) {
    return missing(`cannot run PgBouncer at "${path}": ${whyNot(cause)}`);
  }
};

const firstLineOf = (text: string): string => text.trim().split('\n')[0]?.slice(0, 200) ?? '';

const whyNot = (cause: unknown): string => {
  if (!(cause instanceof Error)) return String(cause);
  if (codeOf(cause) === 'EACCES') return "this unit's account may not execute it; allow that (chmod 755)";
  if (codeOf(cause) === 'ENOEXEC') return 'it is no program of this machine; install the right one';
  const { killed, stderr } = cause as Error & { readonly killed?: boolean; readonly stderr?: string };
  if (killed === true)
    return `it did not tell its version within ${answerMs / 1000} s; name another program (TROUPE_PGBOUNCER)`;
  return `${firstLineOf(stderr ?? '') || firstLineOf(cause.message)}; install it anew, or name another program (TROUPE_PGBOUNCER)`;
};
