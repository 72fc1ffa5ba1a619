import { createHash, createHmac, pbkdf2 } from 'node:crypto';
import { Secret } from '../actors/model/secret.ts';

/**
 * PostgreSQL's stored form of a password (RFC 5802, RFC 7677). PostgreSQL keeps it as given, and PgBouncer passes a client's proof
 * through to a server that has the very same one, so it is computed once for both.
 *
 * Rejects what is not printable ASCII: that is its own SASLprep form, of anything else clients, PgBouncer and PostgreSQL may each
 * make another one. We make the passwords, so any other is a defect.
 */
export const scramVerifier = async (password: Secret, salt: Buffer, iterations = 4096): Promise<Secret> => {
  const text = password.reveal();
  if (!/^[\x20-\x7e]+$/.test(text))
    throw new RangeError('cannot compute a SCRAM verifier: the password must be printable ASCII and not empty');
  const salted = await saltedPassword(text, salt, iterations);
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64');
  const serverKey = hmac(salted, 'Server Key').toString('base64');
  return new Secret(`SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`);
};

/** Takes milliseconds, so not on the thread that decides. */
const saltedPassword = (password: string, salt: Buffer, iterations: number): Promise<Buffer> => {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  pbkdf2(password, salt, iterations, 32, 'sha256', (error, key) => (error === null ? resolve(key) : reject(error)));
  return promise;
};

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
