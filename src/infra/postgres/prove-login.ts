import type { BackendAccess, BackendServer, Provision } from '../../actors/model/backend.ts';
import { openSession, type SessionOptions } from './session.ts';
import { isForbidden, isWrongSecret, troubleOf } from './trouble.ts';

/** Whether PostgreSQL has the secret that every auth file has; `unknown` where it did not say. */
export type Proof = 'same' | 'another' | 'unknown';

interface Door {
  readonly access: BackendAccess;
  readonly server: BackendServer;
  /** `application_name`. */
  readonly name: string;
}

/**
 * Knocks as the client, in the database of administration, where it takes no connection from any budget. PostgreSQL's first word of a
 * SCRAM login is the salt of the secret it has, and each new secret has a new one: this tells all without the key that a login derives,
 * which costs more than everything else of it. PgBouncer hands on what belongs to our salt, so that the right password with another
 * salt is another secret too. A server that lets in by other means is asked by a whole login.
 */
export const proveLogin = async (
  { access, server, name }: Door,
  { username, password, verifier }: Provision,
  signal: AbortSignal,
): Promise<Proof> => {
  let challenge = '';
  const onChallenge = (heard: string): void => {
    challenge = heard;
  };
  const as = { ...access, username, password };
  const options = { access: as, server, database: access.maintenanceDatabase, name, patience, looksOnly: true };
  const knocked = await enter({ ...options, onChallenge, knocksOnly: true }, signal);
  if (challenge !== '') return hasSaltOf(verifier.reveal(), challenge);
  if (knocked === 'stopped') return 'unknown';
  const entered = await enter({ ...options, onChallenge }, signal);
  if (entered === 'wrong') return 'another';
  return entered === 'right' ? hasSaltOf(verifier.reveal(), challenge) : 'unknown';
};

const patience = { statementMs: 1_000, lockMs: 1_000 };

/** Right in its secret is also who is told then that it may not be in this database. */
const enter = async (options: SessionOptions, signal: AbortSignal): Promise<'right' | 'wrong' | 'stopped'> => {
  try {
    await using _ = await openSession(options, signal);
    return 'right';
  } catch (cause) {
    if (isWrongSecret(cause)) return 'wrong';
    if (isForbidden(cause)) return 'right';
    if (troubleOf(cause) === null) throw cause;
    return 'stopped';
  }
};

/** `r=…,s=salt,i=iterations` against `SCRAM-SHA-256$iterations:salt$…`. Without a challenge it was let in some other way. */
const hasSaltOf = (verifier: string, challenge: string): Proof => {
  const [, salt, iterations] = /,s=([^,]+),i=(\d+)/.exec(challenge) ?? [];
  if (salt === undefined || iterations === undefined) return 'unknown';
  return verifier.startsWith(`SCRAM-SHA-256$${iterations}:${salt}$`) ? 'same' : 'another';
};
