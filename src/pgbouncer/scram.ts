import { createHash, createHmac, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { Secret } from '../actors/model/secret.ts';

/**
 * The SCRAM-SHA-256 secret of a password as PostgreSQL stores it and PgBouncer reads it in an auth file (RFC 5802, RFC 7677).
 * Both keep it verbatim, so that one computation serves both and logins pass through.
 * Source: PostgreSQL's scram-common.c format `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
 * Throws for a password that is not printable ASCII: others would have to be normalised by SASLprep, and we never make such.
 */
export const scramVerifier = async (password: Secret, salt: Buffer, iterations = 4096): Promise<Secret> => {
  const text = password.reveal();
  if (!/^[\x20-\x7e]+$/.test(text))
    throw new Error('cannot compute a SCRAM secret: the password must be printable ASCII');
  const salted = await derive(text, salt, iterations, 32, 'sha256');
  const hmac = (message: string): Buffer => createHmac('sha256', salted).update(message).digest();
  const storedKey = createHash('sha256').update(hmac('Client Key')).digest('base64');
  const serverKey = hmac('Server Key').toString('base64');
  return new Secret(`SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`);
};

const derive = promisify(pbkdf2);
