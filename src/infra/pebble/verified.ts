/**
 * What was verified, for the hooks after: it lies in the container, and with that goes what it tells of. A hook that finds the same
 * processes with the same files need not ask each of them again what it has loaded.
 */
import { createHash } from 'node:crypto';
import type { Rendered } from '../../actors/model/workload.ts';
import type { FoundProcess } from './processes.ts';
import type { Survey, Unit } from './unit.ts';

/** Files as they are on disk. */
interface Files {
  readonly authFile: string;
  readonly inis: ReadonlyMap<number, string>;
}

export const noteVerified = async (
  { pebble, places }: Unit,
  survey: Survey,
  { authFile, instances }: Rendered,
  signal: AbortSignal,
): Promise<void> => {
  const inis = new Map(instances.map(({ id, ini }) => [id, ini]));
  const content = markOf(survey, { authFile: authFile.reveal(), inis });
  // One that could not be written is verified again by every hook, and does no other harm.
  await pebble.writeFiles([{ path: places.verified, content, permissions: '600' }], signal);
};

/** `note`: what lies in the container. Instances beyond the number of this unit are to be retired by who verifies. */
export const isVerified = (note: string | null, survey: Survey, files: Files): boolean =>
  note !== null && survey.surplus.length === 0 && note === markOf(survey, files);

/** The same for the same processes with the same files: TLS files are named in the others by what they hold. */
const markOf = ({ instances }: Survey, { authFile, inis }: Files): string =>
  JSON.stringify(
    instances.flatMap(({ instance: { id }, process, port }) =>
      process === null ? [] : [[id, port, idOf(process), digestOf(`${inis.get(id) ?? ''}\0${authFile}`)]],
    ),
  );

const idOf = ({ pid, startedAt, uid }: FoundProcess): string => `${pid} ${startedAt} ${uid}`;

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');
