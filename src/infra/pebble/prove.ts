/** Copies of what was rendered, which listen nowhere, are given to the real program in the container: see dry-run.ts. */
import { randomBytes } from 'node:crypto';
import { posix } from 'node:path';
import type { Rendered, StepOutcome, TlsFiles } from '../../actors/model/workload.ts';
import { dryRunCopy, readDryRun, tlsDryRun } from '../../pgbouncer/dry-run.ts';
import { contentsOf } from '../../pgbouncer/tls.ts';
import { done, failed, refused, together } from '../instances/outcome.ts';
import { takesFrom } from '../instances/sockets.ts';
import { outcomeOf } from './files.ts';
import { findProgram } from './program.ts';
import { strangersAt } from './strangers.ts';
import { PebbleError } from './trouble.ts';
import { ownerOf, surveyOf, type Unit } from './unit.ts';

export const prove = async (
  unit: Unit,
  { authFile, tls, instances, listenPort }: Rendered,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const program = await findProgram(unit, signal);
  if (program === null) return failed(`cannot prove anything: there is no PgBouncer at "${unit.binary}"`);
  // Before anything is written: instances that leave their port for one that is taken would serve nobody.
  const strangers = await strangersAt(unit, await surveyOf(unit, signal), listenPort, takesFrom);
  if (strangers !== null) return failed(`cannot listen there: ${strangers}`, 'address');
  const proofIn = (directory: string): Proof => {
    const auth = posix.join(directory, 'userlist.txt');
    const ownTls = tls === undefined || tls === null ? null : copiesOf(tls, directory);
    const named = ownTls === null ? [] : contentsOf(ownTls).map(([path, content]) => ({ path, content }));
    return {
      inis: [...new Set(instances.map(({ ini }) => dryRunCopy(ini, auth, ownTls)))],
      named: [{ path: auth, content: authFile.reveal() }, ...named],
    };
  };
  return tryOut(unit, program.path, proofIn, signal);
};

/** Whether PgBouncer takes these, before anything else depends on them; its own words when it does not. Null: it cannot be asked. */
export const proveTls = async (unit: Unit, tls: TlsFiles, signal: AbortSignal): Promise<StepOutcome | null> => {
  const program = await findProgram(unit, signal);
  if (program === null) return null;
  const proofIn = (directory: string): Proof => {
    const copies = copiesOf(tls, directory);
    return { inis: [tlsDryRun(copies)], named: contentsOf(copies).map(([path, content]) => ({ path, content })) };
  };
  return tryOut(unit, program.path, proofIn, signal);
};

/** Texts to be given to the program, and the files that they name. */
interface Proof {
  readonly inis: readonly string[];
  readonly named: readonly { readonly path: string; readonly content: string }[];
}

const copiesOf = (tls: TlsFiles, directory: string): TlsFiles => ({
  ...tls,
  directory,
  keyFile: posix.join(directory, 'key.pem'),
  certificateFile: posix.join(directory, 'certificate.pem'),
  authoritiesFile: posix.join(directory, 'authorities.pem'),
});

const tryOut = async (
  unit: Unit,
  program: string,
  proofIn: (directory: string) => Proof,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const { pebble, places } = unit;
  const directory = posix.join(places.proving, randomBytes(6).toString('hex'));
  const { inis, named } = proofIn(directory);
  // Each in a directory of its own, so that all have the name that the real file has.
  const files = inis.map((content, index) => ({
    path: posix.join(directory, String(index + 1), 'pgbouncer.ini'),
    content,
  }));
  const owner = ownerOf(unit);
  try {
    const directories = [directory, ...files.map(({ path }) => posix.dirname(path))];
    const wanted = directories.map((path) => ({ path, permissions: '700', ...owner }));
    const made = outcomeOf('prove anything', await pebble.makeDirectories(wanted, signal));
    if (made.kind !== 'done') return made;
    const all = [...named, ...files].map((file) => ({ ...file, permissions: '400', ...owner }));
    const written = outcomeOf('prove anything', await pebble.writeFiles(all, signal));
    if (written.kind !== 'done') return written;
    const outcomes: StepOutcome[] = [];
    for (let next = 0; next < files.length; next += atOnce) {
      const few = files.slice(next, next + atOnce);
      outcomes.push(...(await Promise.all(few.map(({ path }) => dryRun(unit, program, path, signal)))));
    }
    return together(outcomes);
  } finally {
    await forget(unit, directory);
  }
};

const atOnce = 4;

/** It holds secrets. Also when the step was cancelled; a Pebble that has gone took it along. */
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
