import { randomBytes, randomInt } from 'node:crypto';
import { Secret } from '../../actors/model/secret.ts';
import type { Account } from '../../actors/model/snapshot.ts';
import type { Credentials } from '../../actors/ports/credentials.ts';
import { scramVerifier } from '../../pgbouncer/scram.ts';

/** Logins from this machine's own randomness. */
export const createCredentials = (): Credentials => ({
  mint: (username) => accountOf(username, new Secret(randomPassword())),
  keep: accountOf,
});

const accountOf = async (username: string, password: Secret): Promise<Account> => ({
  username,
  password,
  verifier: await scramVerifier(password, randomBytes(saltBytes)),
});

/** 62 letters carry 5.95 bits each: 28 of them 166 bits. They need no quoting in any file, URL or shell. */
const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
const passwordLetters = 28;
/** What PostgreSQL and PgBouncer use themselves. */
const saltBytes = 16;

const randomPassword = (): string =>
  Array.from({ length: passwordLetters }, () => alphabet.charAt(randomInt(alphabet.length))).join('');
