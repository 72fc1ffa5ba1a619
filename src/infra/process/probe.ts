import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { Secret } from '../../actors/model/secret.ts';
import { scramVerifier } from '../../pgbouncer/scram.ts';
import { writeAtomic } from '../files/atomic-file.ts';
import { checked, unchecked } from '../files/checked.ts';
import { readOwn } from './own-file.ts';

/** The unit's own login, for proving that logins over TCP work. Kept, so that the auth file is the same after a restart. */
export interface ProbeLogin {
  readonly username: string;
  readonly password: Secret;
  readonly verifier: Secret;
}

export const probeLogin = async (file: string): Promise<ProbeLogin> => {
  const kept = parse(await readOwn(file));
  if (kept !== null) return kept;
  const password = new Secret(randomBytes(24).toString('base64url'));
  const fresh = { username: 'troupe_probe', password, verifier: await scramVerifier(password, randomBytes(16)) };
  const plain = { ...fresh, password: password.reveal(), verifier: fresh.verifier.reveal() };
  await writeAtomic(file, checked(plain), 0o600);
  return fresh;
};

const secret = z
  .string()
  .min(1)
  .transform((text) => new Secret(text));
const schema = z.object({ username: z.string(), password: secret, verifier: secret });

/** A file of no use is replaced: nobody but this unit knows the password. */
const parse = (text: string | null): ProbeLogin | null =>
  text === null ? null : (schema.safeParse(unchecked(text)).data ?? null);
