import { posix } from 'node:path';
import { z } from 'zod';
import type { Inspection } from '../../actors/model/workload.ts';
import { programFrom } from '../instances/program.ts';
import type { Pebble } from './client.ts';
import { PebbleError } from './trouble.ts';
import type { Unit } from './unit.ts';

interface Program {
  readonly path: string;
  /** Another one when the file was replaced. */
  readonly seal: string;
}

/** Null when there is none. */
export const findProgram = ({ pebble, binary }: Unit, signal: AbortSignal): Promise<Program | null> =>
  programAt(pebble, binary, signal);

/** By its path, or by its name where programs are in a container. */
export const programAt = async (pebble: Pebble, binary: string, signal: AbortSignal): Promise<Program | null> => {
  const paths = posix.isAbsolute(binary) ? [binary] : searched.map((directory) => posix.join(directory, binary));
  const found = await Promise.all(paths.map((path) => pebble.listFiles(path, signal)));
  const [program] = paths.flatMap((path, index) => {
    const [file] = found[index] ?? [];
    return file?.type === 'file' ? [{ path, seal: `${file.size ?? 0} ${file['last-modified']}` }] : [];
  });
  return program ?? null;
};

/** Asked once for each file that is put there: `kept` is what was written down of the last answer. */
export const versionOf = async (
  unit: Unit,
  kept: string | null,
  signal: AbortSignal,
): Promise<Inspection['binary']> => {
  const note = noteIn(kept);
  const isNamed = posix.basename(note?.path ?? '') === posix.basename(unit.binary);
  // An image stays as it is: the one that was found is looked for first.
  const same = note === null || !isNamed ? null : await programAt(unit.pebble, note.path, signal);
  if (note !== null && note.seal === same?.seal) return programFrom(note.path, note.said, remedy);
  const program = await findProgram(unit, signal);
  if (program === null)
    return {
      kind: 'missing',
      reason: `there is no PgBouncer at "${unit.binary}" in the workload container: ${remedy}`,
    };
  try {
    const command = [program.path, '--version'];
    const asked = { command, withinMs: answerMs, ...(unit.user === null ? {} : { user: unit.user }) };
    const { stdout, stderr, exitCode } = await unit.pebble.exec(asked, signal);
    if (exitCode !== 0)
      return missing(program.path, `it ends with exit code ${exitCode}: ${stderr.trim().split('\n').at(-1) ?? ''}`);
    const answer = programFrom(program.path, stdout, remedy);
    const content = JSON.stringify({ ...program, said: stdout });
    if (answer.kind === 'found') await unit.pebble.writeFiles([{ path: unit.places.program, content }], signal);
    return answer;
  } catch (cause) {
    if (!(cause instanceof PebbleError) || !['refused', 'change'].includes(cause.trouble.kind)) throw cause;
    return missing(program.path, cause.message);
  }
};

const answerMs = 5_000;
const searched = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];
const remedy = 'run the charm with an image that has one';

const missing = (path: string, why: string): Inspection['binary'] => ({
  kind: 'missing',
  reason: `cannot run PgBouncer at "${path}" in the workload container: ${why}; ${remedy}`,
});

const noteSchema = z.object({ path: z.string(), seal: z.string(), said: z.string() });
const noteIn = (kept: string | null): z.infer<typeof noteSchema> | null => {
  try {
    return kept === null ? null : (noteSchema.safeParse(JSON.parse(kept)).data ?? null);
  } catch {
    return null;
  }
};
