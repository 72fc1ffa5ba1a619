import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

/**
 * PostgreSQL's stored form of a password (RFC 5802, RFC 7677). PostgreSQL keeps it as given and PgBouncer passes the client's proof
 * through to a server that has the very same one, so it is computed once for both.
 *
 * Printable ASCII only: it is its own SASLprep form, while for anything else clients, PgBouncer and PostgreSQL may each prepare
 * another text. A password of ours that is something else is a defect.
 */
export const scramVerifier = (password: string, salt: Buffer, iterations = 4096): string => {
  if (!/^[\x20-\x7e]+$/.test(password))
    throw new RangeError('cannot compute a SCRAM verifier: the password must be printable ASCII and not empty');
  const salted = pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64');
  const serverKey = hmac(salted, 'Server Key').toString('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
};

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
