import { describe, expect, it } from 'vitest';
import { redisServers, useServer } from '../support/servers.ts';
import { redisFleet, seenBy } from './backplane-fleets.ts';
import { certificate, openTlsFront } from './backplane-tls.ts';

describe.each(redisServers())('TLS to %s', (_, start) => {
  const server = useServer(start);
  const reach = async (host: string, ca: string | null) => {
    const fleet = await redisFleet(server());
    const front = await openTlsFront(server());
    try {
      const unit = await fleet.open({ url: `rediss://${host}:${front.port}`, password: server().password, ca });
      return (await seenBy(unit)).units.length;
    } finally {
      await fleet.end();
      await front[Symbol.asyncDispose]();
    }
  };

  it('works with a server whose certificate is signed by one that was named', async () => {
    expect(await reach('localhost', certificate)).toBe(1);
  });

  it('is refused when nobody we trust has signed it', async () => {
    await expect(reach('localhost', null)).rejects.toThrow(
      /cannot .*: no connection to rediss:\/\/localhost:\d+ \(self-signed certificate/,
    );
  });

  it('is refused when it is for another name', async () => {
    await expect(reach('127.0.0.1', certificate)).rejects.toThrow(/IP: 127\.0\.0\.1 is not in the cert's list/);
  });
});
