import { once } from 'node:events';
import { createServer } from 'node:net';
import { codeOf } from '../files/system-error.ts';
import { addressesOf } from './sockets.ts';

/** A sentence when none of the addresses to listen on is this machine's: PgBouncer before 1.19 runs on without a word then. */
export const missingAddress = async (listenAddress: string): Promise<string | null> => {
  const addresses = await addressesOf(listenAddress);
  const missing = await Promise.all(addresses.map(isMissing));
  return missing.every(Boolean) ? `this machine has no address ${listenAddress}` : null;
};

const isMissing = async (host: string): Promise<boolean> => {
  const server = createServer();
  try {
    server.listen({ host, port: 0, exclusive: true });
    await once(server, 'listening');
    return false;
  } catch (cause) {
    return codeOf(cause) === 'EADDRNOTAVAIL' || codeOf(cause) === 'EAFNOSUPPORT';
  } finally {
    server.close();
  }
};
