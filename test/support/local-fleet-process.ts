/**
 * A local fleet in a process of its own, so that a test may kill it; its units only sleep. Takes a run directory, prints
 * a line of JSON when everything runs, and ends by SIGTERM.
 */
import { once } from 'node:events';
import type { Application } from '../../src/actors/model/ids.ts';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { LocalFleet } from '../../src/infra/local/local-fleet.ts';
import { serviceAccount } from '../../src/infra/local/service-user.ts';

const path = process.env['PATH'] ?? '';
const terminated = once(process, 'SIGTERM');
await using fleet = await LocalFleet.open({
  application: 'sleepers' as Application,
  units: 2,
  instances: 1,
  account: await serviceAccount(),
  runDir: process.argv[2] ?? '',
  command: ['/bin/sleep', '600'],
  programs: {
    redis: findBinary('redis', path),
    initdb: findBinary('initdb', path),
    postgres: findBinary('postgres', path),
    pgbouncer: findBinary('pgbouncer', path),
  },
  againMs: 300,
  say: (sentence) => process.stderr.write(`${sentence}\n`),
});
const { endpoint } = await fleet.start();
process.stdout.write(`${JSON.stringify({ endpoint, directory: fleet.directory, units: fleet.units })}\n`);
await terminated;
