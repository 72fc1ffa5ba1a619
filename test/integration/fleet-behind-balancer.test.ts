import { describe, expect, it } from 'vitest';
import { ask } from '../../src/infra/cli/api-request.ts';
import { socketAt } from '../../src/infra/cli/place.ts';
import { isAtLeast, parseVersion } from '../../src/pgbouncer/version.ts';
import { openBalancer } from '../support/balancer.ts';
import { startLoadAt, unharmed } from '../support/fleet-load.ts';
import { FleetUnderTest, signalTo } from '../support/fleet-under-test.ts';
import { pgbouncerBinaries } from '../support/servers.ts';

const probeMs = 200;
/** Longer than it takes a balancer to ask again. */
const environment = { TROUPE_DRAIN_DELAY: '1', TROUPE_DRAIN_DEADLINE: '10' };
/** Those that can drain, or cannot be had. */
const those = (await pgbouncerBinaries()).filter(({ version }) => {
  const parsed = parseVersion(version);
  return parsed === null || isAtLeast(parsed, '1.23');
});

describe.each(those)('behind a load balancer, with PgBouncer $version', ({ run, reason }) => {
  it('clients that connect anew notice nothing of a unit that is stopped and started again', async ({ skip }) => {
    if (run === null) return skip(reason ?? '');
    await using fleet = await FleetUnderTest.open({ againMs: 1_500, pgbouncer: run, environment });
    const port = fleet.listenPort;
    const members = fleet.units.map(({ address, socket }) => ({
      host: address,
      port,
      isReady: async (signal: AbortSignal) =>
        (await ask(socketAt(socket), { method: 'GET', path: '/readiness' }, signal)).status === 200,
    }));
    await using balancer = await openBalancer(members, probeMs);

    await using load = await startLoadAt(
      fleet,
      [{ name: 'the balancer', host: '127.0.0.1', port: balancer.port }],
      ['reconnecting fast'],
    );
    const givenTo = (unit: number): number => balancer.given()[unit] ?? 0;
    await expect.poll(() => Math.min(...balancer.given()), { timeout: 10_000 }).toBeGreaterThan(20);

    const before = fleet.watch(0).latest?.units[1];
    signalTo(before?.pid, 'SIGTERM');
    await fleet.watch(0).until(({ units }) => units[1]?.status === 'down', 20_000);
    const given = givenTo(1);
    const others = givenTo(0) + givenTo(2);
    await expect.poll(() => givenTo(0) + givenTo(2), { timeout: 10_000 }).toBeGreaterThan(others + 40);
    expect(givenTo(1)).toBe(given);

    await fleet.everyoneActive(({ units }) => units[1]?.pid !== before?.pid);
    await expect.poll(() => givenTo(1), { timeout: 10_000 }).toBeGreaterThan(given + 40);
    const reports = await load.end();
    expect(reports).toEqual(unharmed(reports));
    expect(reports[0]?.transactions).toBeGreaterThan(200);
  }, 60_000);
});
