import type { BackendAccess, BackendServer } from '../../actors/model/backend.ts';
import type { Secret } from '../../actors/model/secret.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import { openSession, type Patience, type Session } from './session.ts';
import { createShelf } from './shelf.ts';
import { isCrowded, troubleOf } from './trouble.ts';

/** Reads from servers again and again, over connections that are kept for a while. What is read must be harmless to repeat. */
export interface Visits extends AsyncDisposable {
  visit<T>(place: Place, read: (session: Session) => Promise<T>, signal: AbortSignal): Promise<T>;
}

export interface Place {
  readonly access: BackendAccess;
  readonly server: BackendServer;
  readonly database: string;
}

export interface VisitsOptions {
  /** `application_name`. */
  readonly name: string;
  readonly clock: Clock;
  readonly patience: Patience;
  /** So often the door is tried anew: a password, pg_hba.conf or an address may be another one by now. */
  readonly oldestMs: number;
}

/** Longer than the leader's next look is away, so that who no longer looks keeps nothing open for long. */
const idleMs = 15_000;

export const createVisits = ({ name, clock, patience, oldestMs }: VisitsOptions): Visits => {
  const shelf = createShelf<Kept>(clock, idleMs);
  const open = async ({ access, server, database }: Place, signal: AbortSignal): Promise<Kept> => {
    const cutter = new AbortController();
    using _ = relay(signal, cutter);
    const session = await openSession({ access, server, database, name, patience, looksOnly: true }, cutter.signal);
    const { password } = access;
    return {
      session,
      password,
      since: clock.now(),
      cutter,
      [Symbol.asyncDispose]: () => session[Symbol.asyncDispose](),
    };
  };
  /** The one to read with, or a new one; the old one serves on where PostgreSQL has no room for another. */
  const enter = async (place: Place, signal: AbortSignal): Promise<{ kept: Kept; isNew: boolean }> => {
    const kept = await fit(shelf.take(keyOf(place)), place.access);
    if (kept === undefined) return { kept: await open(place, signal), isNew: true };
    if (clock.now() - kept.since < oldestMs) return { kept, isNew: false };
    try {
      const fresh = await open(place, signal);
      await kept[Symbol.asyncDispose]();
      return { kept: fresh, isNew: true };
    } catch (cause) {
      if (isCrowded(cause)) return { kept, isNew: false };
      await kept[Symbol.asyncDispose]();
      throw cause;
    }
  };
  return {
    visit: async (place, read, signal) => {
      const entered = await enter(place, signal);
      let { kept } = entered;
      const attempt = async () => {
        using _ = relay(signal, kept.cutter);
        try {
          return await read(kept.session);
        } catch (cause) {
          await kept[Symbol.asyncDispose]();
          throw cause;
        }
      };
      const again = async () => {
        try {
          return await attempt();
        } catch (cause) {
          // A kept connection that has broken since, or leads nowhere any more: a new one tells why, or that all is well.
          if (entered.isNew || signal.aborted || troubleOf(cause)?.kind !== 'away') throw cause;
          kept = await open(place, signal);
          return attempt();
        }
      };
      const answer = await again();
      await shelf.put(keyOf(place), kept);
      return answer;
    },
    [Symbol.asyncDispose]: () => shelf[Symbol.asyncDispose](),
  };
};

interface Kept extends AsyncDisposable {
  readonly session: Session;
  readonly password: Secret;
  /** Monotonic ms. */
  readonly since: number;
  /** Ends the session in the middle of a statement. */
  readonly cutter: AbortController;
}

const keyOf = ({ access: { name, username }, server: { host, port }, database }: Place): string =>
  JSON.stringify([name, host, port, username, database]);

/** A new password must prove itself. */
const fit = async (kept: Kept | undefined, access: BackendAccess): Promise<Kept | undefined> => {
  if (kept === undefined || (kept.session.isOpen && kept.password.equals(access.password))) return kept;
  await kept[Symbol.asyncDispose]();
  return undefined;
};

const relay = (signal: AbortSignal, to: AbortController): Disposable => {
  const cut = (): void => to.abort();
  if (signal.aborted) cut();
  signal.addEventListener('abort', cut);
  return { [Symbol.dispose]: () => signal.removeEventListener('abort', cut) };
};
