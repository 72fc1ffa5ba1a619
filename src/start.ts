/**
 * Starts the program of the charm, which lies beside it, unless a first look finds that there is nothing to do. It starts it with what
 * V8 compiled of it in an earlier run: every hook is a process of its own, and compiling takes longer than all that most of them have
 * to do. V8 refuses what another release of it, or other flags, have compiled; then, and where there is nothing yet, this run leaves
 * what it has compiled itself. Of all hooks update-status uses most of the program: what that has compiled is left for all, and from
 * time to time anew, because it uses more as the fleet grows.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import type { runCharm } from './charm.ts';
import { lookAhead } from './programs/charm-front.ts';

/** Name of the program without its ending: says what is in it, because V8 itself looks at no more than the length of a source. */
declare const program: string;

const file = join(import.meta.dirname, `${program}.cjs`);
/** The first one that is there is used. */
const used = join(import.meta.dirname, `${program}-used.cache`);
const loaded = join(import.meta.dirname, `${program}.cache`);
const usedForMs = 3_600_000;

const read = (path: string): Buffer | undefined => {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
};

const isOld = (path: string): boolean => {
  const found = statSync(path, { throwIfNoEntry: false });
  return found === undefined || Math.abs(Date.now() - found.mtimeMs) > usedForMs;
};

/** What is there is whole, also after the power failed: V8 trusts it. */
const leave = (path: string, script: Script): void => {
  const unfinished = `${path}.${process.pid}`;
  try {
    const descriptor = openSync(unfinished, 'w', 0o644);
    writeSync(descriptor, script.createCachedData());
    fsyncSync(descriptor);
    closeSync(descriptor);
    renameSync(unfinished, path);
  } catch {
    // The directory belongs to somebody else, or is full: the next run compiles again.
  }
};

/** What the program exports. */
const load = (): { readonly runCharm: typeof runCharm } => {
  const cachedData = read(used) ?? read(loaded);
  // On one line with its beginning, so that the lines of a stack are those of the file.
  const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'utf8')}\n})`;
  const script = new Script(source, { filename: file, ...(cachedData === undefined ? {} : { cachedData }) });
  const usesMost = process.env['JUJU_DISPATCH_PATH'] === 'hooks/update-status';
  const isRefused = script.cachedDataRejected; // Undefined when there was nothing to refuse.
  if (usesMost ? isOld(used) || isRefused === true : isRefused !== false)
    process.once('exit', () => leave(usesMost ? used : loaded, script));
  const exports = {} as ReturnType<typeof load>;
  script.runInThisContext()(exports, createRequire(file), { exports }, file, import.meta.dirname);
  return exports;
};

const start = async (): Promise<void> => {
  const before = await lookAhead(process.env, program);
  if (before?.isSettled !== true) await load().runCharm(process.env, before);
};

void start();
