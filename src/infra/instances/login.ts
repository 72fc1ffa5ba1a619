import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { Secret } from '../../actors/model/secret.ts';
import { scramVerifier } from '../../pgbouncer/scram.ts';
import { checked, unchecked } from '../files/checked.ts';

/** A login that this unit makes for itself. Kept, so that the auth file is the same after a restart. */
export interface OwnLogin {
  readonly username: string;
  readonly password: Secret;
  readonly verifier: Secret;
}

export const freshLogin = async (username: string): Promise<OwnLogin> => {
  const password = new Secret(randomBytes(24).toString('base64url'));
  return { username, password, verifier: await scramVerifier(password, randomBytes(16)) };
};

/** For a file that nobody else may read. */
export const textOfLogin = ({ username, password, verifier }: OwnLogin): string =>
  checked({ username, password: password.reveal(), verifier: verifier.reveal() });

/** Null for a file of no use: it is replaced, since nobody but this unit knows the password. */
export const loginIn = (text: string | null): OwnLogin | null =>
  text === null ? null : (schema.safeParse(unchecked(text)).data ?? null);

const secret = z
  .string()
  .min(1)
  .transform((text) => new Secret(text));
const schema = z.object({ username: z.string(), password: secret, verifier: secret });
