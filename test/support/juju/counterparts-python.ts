import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { downloads } from '../downloads.ts';

/** The Python that counterparts run on; `run` is null where `reason` says why there is none. */
export interface CounterpartsPython {
  readonly run: string | null;
  readonly reason: string | null;
}

export const counterpartsFolder = join(import.meta.dirname, 'counterparts');
const requirements = join(counterpartsFolder, 'requirements.txt');

/**
 * A virtual environment with exactly the packages that the counterparts are written on, made once and kept beside the other
 * downloads. Remove it to have it made anew.
 */
export const counterpartsPython = (): Promise<CounterpartsPython> => {
  found ??= made().then(
    (run) => ({ run, reason: null }),
    (cause: unknown) => ({ run: null, reason: reasonOf(cause) }),
  );
  return found;
};

let found: Promise<CounterpartsPython> | undefined;

const made = async (): Promise<string> => {
  const { stdout: version } = await run('python3', ['-c', 'import sys; print(sys.version)']);
  const digest = createHash('sha256').update(readFileSync(requirements)).update(version).digest('hex').slice(0, 12);
  const directory = join(downloads, `counterparts-${digest}`);
  const python = join(directory, 'bin', 'python3');
  if (existsSync(python)) return python;
  await mkdir(downloads, { recursive: true, mode: 0o755 });
  const unfinished = `${directory}.${process.pid}`;
  try {
    await run('python3', ['-m', 'venv', unfinished]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--disable-pip-version-check'];
    await run(join(unfinished, 'bin', 'python3'), [...pip, '-r', requirements]);
    // Another run may have been quicker; what it made is the same.
    await rename(unfinished, directory).catch((cause: unknown) => {
      if (!existsSync(python)) throw cause;
    });
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return python;
};

const run = promisify(execFile);

const reasonOf = (cause: unknown): string => {
  const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr) : '';
  const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
  const why = isMissing ? 'there is no python3 on the PATH' : (said.trim().split('\n').at(-1) ?? String(cause));
  return `charms of others are not run here: ${why}; install Python 3.10 or newer with venv, and let it reach its package index`;
};
