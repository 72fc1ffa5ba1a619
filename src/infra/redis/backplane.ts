import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { type Nonce, type UnitName, unitNameOf } from '../../actors/model/ids.ts';
import { BackplaneUnavailable } from '../../actors/ports/backplane.ts';
import { isMissing } from '../files/atomic-file.ts';
import type { Sealer } from '../files/codec.ts';
import { FolderHold, holderOf } from '../files/folder-hold.ts';
import { foldersInUse } from '../files/folders-in-use.ts';
import { Ledger, ledgerIdentity, unitDirectory } from '../files/ledger.ts';
import { type Claimed, claimUnit } from '../files/number-claim.ts';
import { HintLine } from './hint-line.ts';
import { Connection } from './connection.ts';
import { give, look, random } from './entrance.ts';
import { keysOf } from './keys.ts';
import { Mirror } from './mirror.ts';
import type { RedisBackplaneOptions } from './options.ts';
import { RedisBackplane } from './redis-backplane.ts';
import { claimNumber } from './scripts.ts';

/**
 * Opens the backplane of one unit. With a number given (or one known from the state directory) this succeeds without the store:
 * everything then rejects with BackplaneUnavailable until the store is there, and needs no restart. A number that must be claimed
 * from a store that does not answer is waited for. Rejects with a sentence when this unit cannot take part at all.
 */
export const openRedisBackplane = async (options: RedisBackplaneOptions): Promise<RedisBackplane> => {
  const { application, instances, stateDir, clock, log, deadAfterMs = defaultDeadAfterMs } = options;
  const sealer: Sealer = { key: options.sealKey, application };
  const nonce = randomBytes(16).toString('hex') as Nonce;
  const hints = new HintLine();
  const name = options.unit === 'claim' ? application : options.unit;
  const { url, password, ca, answerWithinMs } = options;
  const onHint = (): void => hints.ring();
  const connection = new Connection({ url, password, ca, name: `troupe:${name}`, answerWithinMs, log, onHint });
  try {
    const keys = keysOf(application);
    connection.listen(keys.all);
    await connection.settled();
    const seat = { connection, keys, sealer, nonce, deadAfterMs };
    using taken = new DisposableStack();
    const { unit, inherited } =
      options.unit === 'claim' ? await claim(options, seat) : { unit: options.unit, inherited: null };
    const directory = unitDirectory(stateDir, unit);
    const hold = taken.use(inherited ?? (await FolderHold.take(directory, nonce, clock)));
    const ledger = await Ledger.open({ directory, unit, sealer, log });
    taken.move();
    const mirror = new Mirror(sealer, log, ledger.content.objects);
    const post = { ...seat, ledger, hold, mirror, clock, log, unit, instances };
    return new RedisBackplane(post, hints);
  } catch (cause) {
    connection.close();
    throw cause;
  }
};

/** Heartbeats come every second: four lost ones in a row are no accident. */
const defaultDeadAfterMs = 4_000;
const pauseMs = 250;

interface Seat {
  readonly connection: Connection;
  readonly keys: ReturnType<typeof keysOf>;
  readonly sealer: Sealer;
  readonly nonce: Nonce;
  readonly deadAfterMs: number;
}

interface Seated {
  readonly unit: UnitName;
  /** Null: the store knows, and nobody else is this unit. */
  readonly inherited: FolderHold | null;
}

const claim = async (options: RedisBackplaneOptions, seat: Seat): Promise<Seated> => {
  const { application, stateDir, clock, log, signal } = options;
  const pause = async (): Promise<void> => {
    await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
    signal?.throwIfAborted();
  };
  for (let reported = false; ; reported = true) {
    signal?.throwIfAborted();
    try {
      const unit = await claimUnit(async (takeNew, before) => {
        const answer = await askForNumber(options, seat, takeNew, before * pauseMs);
        if (answer.kind === 'lookAgain' && before === 0)
          log.info(
            { application, units: [...answer.heardAt.keys()] },
            'waiting to see whether units with folders here live',
          );
        return answer;
      }, pause);
      return { unit, inherited: null };
    } catch (cause) {
      if (!(cause instanceof BackplaneUnavailable)) throw cause;
      const only = await onlyUnit(stateDir, application);
      const inherited =
        only === null
          ? null
          : await FolderHold.inherit(unitDirectory(stateDir, only.unit), only.ledger, seat.nonce, clock);
      if (only !== null && inherited !== null) return { unit: only.unit, inherited };
      if (!reported)
        log.warn({ application, reason: cause.message }, 'waiting for the store to give this unit a number');
      await pause();
    }
  }
};

const askForNumber = async (
  { application, instances, stateDir }: RedisBackplaneOptions,
  { connection, keys, sealer, nonce, deadAfterMs }: Seat,
  takeNew: boolean,
  waitedMs: number,
): Promise<Claimed> => {
  if (connection.refusal !== null) throw new Error(connection.refusal);
  const entrance = await look(connection, keys, sealer);
  if (entrance.kind === 'closed') throw new Error(entrance.reason);
  if (entrance.kind === 'empty') await give(connection, keys, sealer, 0, new Map());
  // A store whose clock went back hears nobody for as long.
  const every = takeNew || waitedMs > 2 * deadAfterMs;
  const { free, known, watched } = await preferredUnits(stateDir, application, every);
  const preferred = [
    ...free.flatMap((unit) => [unit, known.get(unit) ?? '']),
    ...watched.keys().flatMap((unit) => [unit, 'watched']),
  ];
  const reply = await claimNumber(
    connection,
    [keys.meta, keys.idx, keys.members, keys.hb],
    [application, nonce, instances, deadAfterMs, takeNew ? 1 : 0, random(), keys.all, ...preferred],
  );
  switch (reply.kind) {
    case 'CLAIMED':
      return { kind: 'claimed', unit: reply.unit };
    case 'LOOKAGAIN':
      return {
        kind: 'lookAgain',
        heardAt: new Map(reply.heardAt.entries().map(([unit, at]) => [unit, at + (watched.get(unit) ?? 0)])),
      };
    case 'UNSEEDED':
      throw new BackplaneUnavailable('cannot claim a number: the store was emptied meanwhile');
  }
};

/** Units whose folders are here, lowest number first. */
interface Preferred {
  readonly free: readonly UnitName[];
  /** What the store cannot know of them: `silent` elsewhere, or the run that is certain to have ended. */
  readonly known: ReadonlyMap<UnitName, Nonce | 'silent'>;
  /** With the last sign of life that was given in their folders. */
  readonly watched: ReadonlyMap<UnitName, number>;
}

/**
 * A coordinator that is started again is the unit whose PgBouncers live on beside it, and no other; one whose PgBouncers have ended too is
 * first of all one that was here before. `every`: any other as well.
 */
const preferredUnits = async (
  stateDir: string,
  application: RedisBackplaneOptions['application'],
  every: boolean,
): Promise<Preferred> => {
  const units = await unitsIn(stateDir, application);
  const holders = new Map(
    await Promise.all(units.map(async (unit) => [unit, await holderOf(unitDirectory(stateDir, unit))] as const)),
  );
  const known = new Map<UnitName, Nonce | 'silent'>();
  const watched = new Map<UnitName, number>();
  for (const [unit, holder] of holders) {
    if (holder.kind === 'other') watched.set(unit, holder.signAt);
    if (holder.kind === 'silent') known.set(unit, 'silent');
    if (holder.kind === 'ended' && holder.nonce !== null) known.set(unit, holder.nonce);
  }
  const inUse = foldersInUse(units.map((unit) => unitDirectory(stateDir, unit)));
  const running = units.filter((unit) => inUse.includes(unitDirectory(stateDir, unit)));
  if (running.length > 0) return { free: running, known, watched: new Map() };
  const ours = units.filter((unit) => holders.get(unit)?.kind === 'ended');
  if (ours.length > 0 && !every) return { free: ours, known, watched: new Map() };
  return { free: units.filter((unit) => !watched.has(unit)), known, watched };
};

/** Whose folders are all here, as far as it is just one's: whose else could it be? */
const onlyUnit = async (
  stateDir: string,
  application: RedisBackplaneOptions['application'],
): Promise<{ readonly unit: UnitName; readonly ledger: string } | null> => {
  // A unit that begins beside us has given its first sign of life before it has a ledger: ledgers are looked for first.
  const ledgers = new Map<UnitName, string | null>();
  for (const unit of await unitsIn(stateDir, application))
    ledgers.set(unit, await ledgerIdentity(unitDirectory(stateDir, unit)));
  const { free, watched } = await preferredUnits(stateDir, application, true);
  const [unit, ...more] = free;
  const ledger = unit === undefined ? null : (ledgers.get(unit) ?? null);
  return unit !== undefined && ledger !== null && more.length === 0 && watched.size === 0 ? { unit, ledger } : null;
};

const unitsIn = async (
  stateDir: string,
  application: RedisBackplaneOptions['application'],
): Promise<readonly UnitName[]> => {
  const names = await readdir(stateDir).catch((cause: unknown) => {
    if (isMissing(cause)) return [];
    throw cause;
  });
  return names
    .flatMap((name) => (name.startsWith(`${application}-`) ? [name.slice(application.length + 1)] : []))
    .filter((rest) => /^\d{1,5}$/.test(rest))
    .map(Number)
    .toSorted((a, b) => a - b)
    .map((number) => unitNameOf(application, number));
};
