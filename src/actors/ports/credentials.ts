import type { Secret } from '../model/secret.ts';
import type { Account } from '../model/snapshot.ts';

/** Makes logins: randomness and key derivation live outside the actors. */
export interface Credentials {
  /** A password of at least 128 random bits (ASCII letters and digits) and its SCRAM-SHA-256 verifier. */
  mint(username: string): Promise<Account>;
  /** The same with a password that there is already, of printable ASCII. */
  keep(username: string, password: Secret): Promise<Account>;
}
