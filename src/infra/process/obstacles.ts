/**
 * What would stop the next step, found by questions that cost the system next to nothing. So it is said before it bites, and no
 * longer said as soon as it has gone. Reasons that only a step can find carry the same ids.
 */
import { access, constants, statfs } from 'node:fs/promises';
import type { Inspection, Obstacle } from '../../actors/model/workload.ts';
import { listenPortOf } from '../../pgbouncer/ini.ts';
import { codeOf, isSystemError } from '../files/system-error.ts';
import { strangersAt } from './strangers.ts';
import { takesFrom } from '../instances/sockets.ts';
import type { Unit } from './unit.ts';

type Found = Inspection['obstacles'][number];

export const obstaclesIn = async (unit: Unit, inis: readonly (string | null)[]): Promise<readonly Found[]> =>
  (await Promise.all([onDisk(unit), atAddress(unit, inis), amongDescriptors(unit)])).flat();

/** The id under which a refusal of the system is told; undefined when it tells of nothing that a person could clear away. */
export const obstacleOf = (cause: unknown): Obstacle | undefined => waysOut.get(String(codeOf(cause)))?.id;

/** What the system refused, and the way out. */
export const wordsOf = (cause: Error): string => {
  const way = waysOut.get(String(codeOf(cause)));
  return way === undefined ? cause.message : `${way.words(placeIn(cause))} (${cause.message})`;
};

/** The file that a rename would have replaced says more than the one beside it. */
const placeIn = (cause: Error): string => {
  const { dest, path } = cause as Error & { readonly dest?: unknown; readonly path?: unknown };
  const place = [dest, path].find((one) => typeof one === 'string');
  return place === undefined ? 'a file of this unit' : `"${place}"`;
};

interface WayOut {
  readonly id: Obstacle;
  readonly words: (place: string) => string;
}
const full: WayOut = { id: 'disk', words: (place) => `no space is left for ${place}: free some on its file system` };
const readOnly: WayOut = {
  id: 'files',
  words: (place) => `the file system of ${place} is read-only: mount it for writing`,
};
const closed: WayOut = {
  id: 'files',
  words: (place) => `this unit's account may not use ${place}: give it back its rights`,
};
const taken: WayOut = { id: 'files', words: (place) => `something else lies in the way at ${place}: remove it` };
const nameless: WayOut = {
  id: 'listen-address',
  words: () =>
    'the name in TROUPE_LISTEN_ADDRESS has no address: name another, or mend the name service of this machine',
};
const waysOut: ReadonlyMap<string, WayOut> = new Map([
  ['ENOSPC', full],
  ['EDQUOT', full],
  ['EROFS', readOnly],
  ['EACCES', closed],
  ['EPERM', closed],
  ['EISDIR', taken],
  ['ENOTDIR', taken],
  ['ENOTEMPTY', taken],
  ['EEXIST', taken],
  ['ELOOP', taken],
  ['ENOTFOUND', nameless],
  ['EAI_AGAIN', nameless],
]);

/** Enough for all files of a unit but the largest ledgers. */
const leastBytes = 256 * 1024;

const onDisk = async ({ place: { root } }: Unit): Promise<readonly Found[]> => {
  try {
    await access(root, constants.W_OK | constants.X_OK);
    const { bavail, bsize, files, ffree } = await statfs(root);
    const freeBytes = bavail * bsize;
    if (freeBytes >= leastBytes && (files === 0 || ffree > 0)) return [];
    const left =
      files > 0 && ffree === 0 ? 'not one file more fits' : `only ${Math.floor(freeBytes / 1024)} KiB are left`;
    return [
      {
        id: 'disk',
        message: `${left} on the file system of "${root}"`,
      },
    ];
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    // A directory that is missing is made again by the next step that needs it.
    const id = obstacleOf(cause);
    return id === undefined ? [] : [{ id, message: `${wordsOf(cause)}` }];
  }
};

const atAddress = async (unit: Unit, inis: readonly (string | null)[]): Promise<readonly Found[]> => {
  const ports = new Set(
    unit.instances.flatMap((instance, index) => instance.running()?.port ?? listenPortOf(inis[index] ?? '') ?? []),
  );
  const clauses = await Promise.all([...ports].map((port) => strangersAt(unit, port, takesFrom))).catch(
    (cause: unknown) => {
      if (isSystemError(cause)) return []; // No name service: what listens stays as it is.
      throw cause;
    },
  );
  const runs = unit.instances.some((instance) => instance.running() !== null);
  const effect = runs ? '; a part of the clients reaches that instead of this unit' : '';
  return clauses
    .filter((clause) => clause !== null)
    .map((clause) => ({ id: 'address', message: `${clause}${effect}` }));
};

/** PgBouncer takes nobody for five seconds after it could not, and clients hang meanwhile. */
const rememberedMs = 6_000;

const amongDescriptors = async ({ clock, instances }: Unit): Promise<readonly Found[]> =>
  instances.flatMap((instance): readonly Found[] => {
    const running = instance.running();
    if (running === null || clock.now() - running.exhaustedAt > rememberedMs) return [];
    return [
      {
        id: 'descriptors',
        message: `instance ${instance.id} (process ${running.mark.pid}) has used up its ${running.descriptors ?? ''} file descriptors`,
      },
    ];
  });
