import type { BackendAccess, BackendServer, Provision } from '../../actors/model/backend.ts';
import { openSession } from './session.ts';
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
 * Logs in once as the client, in the database of administration, where it takes no connection from any budget. The right password
 * is not enough: PgBouncer hands on what it derives from salt and iterations of our secret, so that the server must have the same.
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
  const database = access.maintenanceDatabase;
  const options = { access: { ...access, username, password }, server, database, name, patience, onChallenge };
  try {
    await using _ = await openSession({ ...options, looksOnly: true }, signal);
    return hasSaltOf(verifier.reveal(), challenge);
  } catch (cause) {
    if (isWrongSecret(cause)) return 'another';
    // Let in by its secret, and then told that it may not be in this database.
    if (isForbidden(cause)) return hasSaltOf(verifier.reveal(), challenge);
    if (troubleOf(cause) === null) throw cause;
    return 'unknown';
  }
};

const patience = { statementMs: 1_000, lockMs: 1_000 };

/** `r=…,s=salt,i=iterations` against `SCRAM-SHA-256$iterations:salt$…`. Without a challenge it was let in some other way. */
const hasSaltOf = (verifier: string, challenge: string): Proof => {
  const [, salt, iterations] = /,s=([^,]+),i=(\d+)/.exec(challenge) ?? [];
  if (salt === undefined || iterations === undefined) return 'unknown';
  return verifier.startsWith(`SCRAM-SHA-256$${iterations}:${salt}$`) ? 'same' : 'another';
};
