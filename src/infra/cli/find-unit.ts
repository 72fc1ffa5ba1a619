/** Which unit to ask: the one that was named, else any of this machine that answers. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { probePaths } from '../../api/probe-paths.ts';
import { codeOf } from '../files/system-error.ts';
import { CliFailure, exit } from './exit.ts';
import { type Credentials, type Place, placeOf, socketAt } from './place.ts';
import { ask, NoAnswer } from './api-request.ts';

/** Finds the place to ask at; asked again after a unit was lost. */
export type Find = (signal: AbortSignal) => Promise<Place>;

export interface Whereabouts extends Credentials {
  /** `--api` or TROUPE_API. */
  readonly api: string | null;
  /** Where units of this machine have their sockets, `<application>-<number>.sock`. */
  readonly runDirectories: readonly string[];
}

/** Where to ask a unit. */
export const findUnit = async (whereabouts: Whereabouts, signal: AbortSignal): Promise<Place> => {
  const { api, runDirectories } = whereabouts;
  if (api !== null) return placeOf(api, whereabouts);
  const directories = await Promise.all(runDirectories.map(lookIn));
  const applications = byApplication(directories.flatMap(({ places }) => places));
  const closed = directories.filter(({ isClosed }) => isClosed).map(({ directory }) => directory);
  if (applications.size === 0 && closed.length > 0)
    throw new CliFailure(
      exit.unreachable,
      `may not look for units in ${closed.join(', ')}: use sudo, or an account of the group that owns it`,
    );
  if (applications.size === 0)
    throw new CliFailure(
      exit.unreachable,
      `there is no unit in ${runDirectories.join(', ')}: start one (troupe unit, troupe demo), or name its socket with --api or TROUPE_API`,
    );
  const raced = await Promise.all([...applications].map(([name, sockets]) => firstToAnswer(name, sockets, signal)));
  const answering = raced.flatMap((race) => (race.socket === null ? [] : [{ name: race.name, socket: race.socket }]));
  const [first] = answering;
  if (first === undefined) {
    const reasons = raced.flatMap(({ failures }) => failures).slice(0, 3);
    throw new CliFailure(
      exit.unreachable,
      `no unit in ${runDirectories.join(', ')} answers (${reasons.join('; ')}): start one, or name its socket with --api or TROUPE_API`,
    );
  }
  if (answering.length > 1)
    throw new CliFailure(
      exit.usage,
      `several applications answer here: choose with ${answering.map(({ name, socket }) => `--api ${socket} (${name})`).join(' or ')}`,
    );
  return socketAt(first.socket);
};

interface Found {
  readonly application: string;
  readonly number: number;
  readonly socket: string;
}

/** Sockets of each application in the order of unit numbers. */
const byApplication = (places: readonly Found[]): ReadonlyMap<string, readonly string[]> => {
  const sorted = places.toSorted((a, b) => a.number - b.number);
  const grouped = Map.groupBy(sorted, ({ application }) => application);
  return new Map(grouped.entries().map(([application, of]) => [application, of.map(({ socket }) => socket)]));
};

const lookIn = async (directory: string) => {
  try {
    const places = (await readdir(directory)).flatMap((name) => foundAt(directory, name));
    return { directory, places, isClosed: false };
  } catch (cause) {
    const code = codeOf(cause);
    if (code !== 'ENOENT' && code !== 'EACCES') throw cause;
    return { directory, places: [], isClosed: code === 'EACCES' };
  }
};

const foundAt = (directory: string, name: string): readonly Found[] => {
  const [, application, number] = /^([a-z][a-z0-9-]*)-(\d{1,9})\.sock$/.exec(name) ?? [];
  return application === undefined ? [] : [{ application, number: Number(number), socket: join(directory, name) }];
};

/** A unit that hangs is given so long before the next one is tried beside it. */
const staggerMs = 150;
const patienceMs = 2_000;

interface Race {
  readonly name: string;
  readonly socket: string | null;
  readonly failures: readonly string[];
}

const firstToAnswer = async (name: string, sockets: readonly string[], signal: AbortSignal): Promise<Race> => {
  const { promise, resolve } = Promise.withResolvers<string | null>();
  const over = new AbortController();
  const failures: string[] = [];
  const tryFrom = (index: number): void => {
    const socket = sockets[index];
    if (socket === undefined || over.signal.aborted) return;
    let isFollowed = false;
    const follow = (): void => {
      if (!isFollowed) tryFrom(index + 1);
      isFollowed = true;
    };
    const timer = setTimeout(follow, staggerMs);
    answers(socket, AbortSignal.any([signal, over.signal])).then(
      () => resolve(socket),
      (cause: unknown) => {
        failures.push(cause instanceof Error ? cause.message : String(cause));
        if (failures.length === sockets.length) resolve(null);
        clearTimeout(timer);
        follow();
      },
    );
    over.signal.addEventListener('abort', () => clearTimeout(timer));
  };
  tryFrom(0);
  const socket = await promise;
  over.abort();
  return { name, socket, failures };
};

const answers = async (socket: string, signal: AbortSignal): Promise<void> => {
  const timely = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
  const place = socketAt(socket);
  const { status } = await ask(place, { method: 'get', path: probePaths.liveness }, timely);
  if (status !== 200) throw new NoAnswer(place, true, `it answers ${status}`);
};
