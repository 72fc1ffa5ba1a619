/** Copies of what was rendered, which listen nowhere, are given to the real program in the container: see dry-run.ts. */
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { Rendered, StepOutcome } from '../../actors/model/workload.ts';
import { dryRunCopy, readDryRun } from '../../pgbouncer/dry-run.ts';
import { done, failed, refused, together } from '../instances/outcome.ts';
import { takesFrom } from '../instances/sockets.ts';
import { outcomeOf } from './files.ts';
import { findProgram } from './program.ts';
import { strangersAt } from './strangers.ts';
import { PebbleError } from './trouble.ts';
import { ownerOf, surveyOf, type Unit } from './unit.ts';

export const prove = async (
  unit: Unit,
  { authFile, instances, listenPort }: Rendered,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const { pebble, places } = unit;
  const program = await findProgram(unit, signal);
  if (program === null) return failed(`cannot prove anything: there is no PgBouncer at "${unit.binary}"`);
  // Before anything is written: instances that leave their port for one that is taken would serve nobody.
  const strangers = await strangersAt(unit, await surveyOf(unit, signal), listenPort, takesFrom);
  if (strangers !== null) return failed(`cannot listen there: ${strangers}`, 'address');
  const directory = posix.join(places.proving, randomBytes(6).toString('hex'));
  const auth = posix.join(directory, 'userlist.txt');
  const copies = [...new Set(instances.map(({ ini }) => dryRunCopy(ini, auth)))];
  // Each in a directory of its own, so that all have the name that the real file has.
  const files = copies.map((content, index) => ({
    path: posix.join(directory, String(index + 1), 'pgbouncer.ini'),
    content,
  }));
  try {
    const owned = { permissions: '700', ...ownerOf(unit) };
    const directories = [directory, ...files.map(({ path }) => posix.dirname(path))].map((path) => ({
      path,
      ...owned,
    }));
    const made = outcomeOf('prove anything', await pebble.makeDirectories(directories, signal));
    if (made.kind !== 'done') return made;
    const secret = { path: auth, content: authFile.reveal() };
    const all = [secret, ...files].map((file) => ({ ...file, permissions: '400', ...ownerOf(unit) }));
    const written = outcomeOf('prove anything', await pebble.writeFiles(all, signal));
    if (written.kind !== 'done') return written;
    const outcomes: StepOutcome[] = [];
    for (let next = 0; next < files.length; next += atOnce) {
      const few = files.slice(next, next + atOnce);
      outcomes.push(...(await Promise.all(few.map(({ path }) => dryRun(unit, program.path, path, signal)))));
    }
    return together(outcomes);
  } finally {
    await forget(unit, directory);
  }
};

const atOnce = 4;

/** It holds verifiers. Also when the step was cancelled; a Pebble that has gone took it along. */
const forget = async ({ pebble }: Unit, directory: string): Promise<void> => {
  try {
    await pebble.removePaths([{ path: directory, recursive: true }], new AbortController().signal);
  } catch (cause) {
    if (!(cause instanceof PebbleError)) throw cause;
  }
};

const dryRun = async (unit: Unit, program: string, file: string, signal: AbortSignal): Promise<StepOutcome> => {
  const { user, patience } = unit;
  const asked = { command: [program, file], withinMs: patience.prove, ...(user === null ? {} : { user }) };
  try {
    const { exitCode, stderr } = await unit.pebble.exec(asked, signal);
    const verdict = readDryRun(exitCode, stderr);
    return verdict.kind === 'proven' ? done : refused(verdict.reason.replaceAll(`${posix.dirname(file)}/`, ''));
  } catch (cause) {
    if (!(cause instanceof PebbleError) || cause.trouble.kind !== 'change') throw cause;
    return failed(`PgBouncer did not finish a dry run within ${patience.prove} ms: ${cause.message}`);
  }
};
