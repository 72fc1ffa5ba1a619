import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range the kernel hands out for outgoing connections, so that none of those takes the port meanwhile. */
const lowest = 15_000;
const highest = 32_000;
const attempts = 200;

/** A port that can be bound on every one of the addresses; the preferred one when that is free. */
export const freePort = async (addresses: readonly string[], preferred?: number): Promise<number> => {
  if (preferred !== undefined && (await isFree(addresses, preferred))) return preferred;
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const port = randomInt(lowest, highest);
    if (await isFree(addresses, port)) return port;
  }
  throw new Error(`cannot find a port that is free on ${addresses.join(', ')}: tried ${attempts}`);
};

const isFree = async (addresses: readonly string[], port: number): Promise<boolean> => {
  const bound = await Promise.all(addresses.map((address) => canBind(address, port)));
  return bound.every(Boolean);
};

/** The n-th address of this machine for a unit: 127.0.0.11, 127.0.0.12, … */
export const loopbackOf = (number: number): string => {
  const host = 11 + number;
  return `127.0.${Math.floor(host / 250)}.${host % 250}`;
};

const canBind = (address: string, port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (cause: NodeJS.ErrnoException) => {
      if (cause.code === 'EADDRINUSE') resolve(false);
      else reject(new Error(`cannot bind ${address}:${port}: ${cause.message}`, { cause }));
    });
    server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
