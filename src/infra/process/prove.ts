/**
 * PgBouncer has no switch to check a file, and a RELOAD of a bad one is half applied. So copies of what was rendered, which listen
 * nowhere, are given to the real program: it reads them and ends, and says what it thinks of them.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Rendered, StepOutcome, TlsFiles } from '../../actors/model/workload.ts';
import { dryRunCopy, readDryRun, tlsDryRun } from '../../pgbouncer/dry-run.ts';
import { contentsOf } from '../../pgbouncer/tls.ts';
import { environment } from './environment.ts';
import { done, failed, refused, together } from '../instances/outcome.ts';
import { takesFrom } from '../instances/sockets.ts';
import { strangersAt } from './strangers.ts';
import type { Unit } from './unit.ts';

export const prove = async (
  unit: Unit,
  { authFile, tls, instances, listenPort }: Rendered,
  signal: AbortSignal,
): Promise<StepOutcome> => {
  const binary = await unit.binary.path();
  if (binary === null) return failed(`cannot prove anything: there is no PgBouncer at "${unit.binary.name}"`);
  // Before anything is written: instances that leave their port for one that is taken would serve nobody.
  const strangers = await strangersAt(unit, listenPort, takesFrom);
  if (strangers !== null) return failed(`cannot listen there: ${strangers}`, 'address');
  const directory = await mkdtemp(join(unit.place.proving, 'p-'));
  try {
    const auth = join(directory, 'userlist.txt');
    await writeFile(auth, authFile.reveal(), { mode: 0o600 });
    const ownTls = tls === undefined || tls === null ? null : await copiesOf(tls, directory);
    const copies = new Set(instances.map(({ ini }) => dryRunCopy(ini, auth, ownTls)));
    const files = await Promise.all([...copies].map((copy, index) => writeCopy(directory, index + 1, copy)));
    const outcomes: StepOutcome[] = [];
    for (let next = 0; next < files.length; next += atOnce) {
      const few = files.slice(next, next + atOnce);
      outcomes.push(...(await Promise.all(few.map((file) => dryRun(unit, binary, file, signal)))));
    }
    return together(outcomes);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

/** Whether PgBouncer takes these, before anything else depends on them; its own words when it does not. Null: it cannot be asked. */
export const proveTls = async (unit: Unit, tls: TlsFiles, signal: AbortSignal): Promise<StepOutcome | null> => {
  const binary = await unit.binary.path();
  if (binary === null) return null;
  const directory = await mkdtemp(join(unit.place.proving, 'p-'));
  try {
    const file = await writeCopy(directory, 1, tlsDryRun(await copiesOf(tls, directory)));
    return await dryRun(unit, binary, file, signal);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
};

const copiesOf = async (tls: TlsFiles, directory: string): Promise<TlsFiles> => {
  const copies = {
    ...tls,
    directory,
    keyFile: join(directory, 'key.pem'),
    certificateFile: join(directory, 'certificate.pem'),
    authoritiesFile: join(directory, 'authorities.pem'),
  };
  await Promise.all(contentsOf(copies).map(([path, text]) => writeFile(path, text, { mode: 0o600 })));
  return copies;
};

/** Each in a directory of its own, so that all have the name that the real file has. */
const writeCopy = async (directory: string, number: number, copy: string): Promise<string> => {
  const own = join(directory, String(number));
  await mkdir(own, { mode: 0o700 });
  const file = join(own, 'pgbouncer.ini');
  await writeFile(file, copy, { mode: 0o600 });
  return file;
};

const atOnce = 4;

const dryRun = async (unit: Unit, binary: string, file: string, signal: AbortSignal): Promise<StepOutcome> => {
  const child = spawn(binary, [file], {
    env: environment,
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: unit.patience.prove,
    killSignal: 'SIGKILL',
    signal,
  });
  const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  if (code === null) return failed(`PgBouncer did not finish a dry run within ${unit.patience.prove} ms`);
  const verdict = readDryRun(code, said);
  if (verdict.kind === 'proven') return done;
  const own = dirname(file);
  return refused(verdict.reason.replaceAll(`${own}/`, '').replaceAll(`${dirname(own)}/`, ''));
};
