import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { bundleInto } from '../../scripts/bundle.ts';
import type { Application } from '../../src/actors/model/ids.ts';
import { type ApiClient, apiAt } from '../../src/infra/cli/api-client.ts';
import { findBinary } from '../../src/infra/local/binaries.ts';
import { LocalFleet } from '../../src/infra/local/local-fleet.ts';
import { type Account, createScratch, serviceAccount } from '../../src/infra/local/service-user.ts';
import { bringUp } from '../../src/programs/bring-up.ts';

export interface BenchFleet extends AsyncDisposable {
  readonly fleet: LocalFleet;
  readonly account: Account;
  readonly runDir: string;
  readonly instances: number;
  /** Asks this unit. */
  readonly api: (unit: number) => ApiClient;
}

/** A fleet of units as they ship, with real servers; a unit that dies is started again. */
export const openBenchFleet = async (units: number, instances: number): Promise<BenchFleet> => {
  const path = process.env['PATH'] ?? '';
  const account = await serviceAccount();
  const runDir = await createScratch('troupe-bench-', account);
  const say = (sentence: string): void => void process.stderr.write(`bench: ${sentence}\n`);
  const program = join(runDir, 'dist');
  await bundleInto(program);
  const fleet = await LocalFleet.open({
    application: 'pgbouncer' as Application,
    units,
    instances,
    account,
    runDir,
    command: [process.execPath, join(program, 'troupe.mjs'), 'unit'],
    programs: {
      redis: findBinary('redis', path),
      initdb: findBinary('initdb', path),
      postgres: findBinary('postgres', path),
      pgbouncer: findBinary('pgbouncer', path),
    },
    // Longer than a lease lasts, so that whoever was killed is not back before another one leads.
    againMs: 6_000,
    say,
  });
  const api = (unit: number): ApiClient => apiAt(join(runDir, `pgbouncer-${unit}.sock`));
  const { signal } = new AbortController();
  await bringUp(fleet, { apiOf: ({ socket }) => apiAt(socket), instances, say, signal });
  return {
    fleet,
    account,
    runDir,
    instances,
    api,
    [Symbol.asyncDispose]: async () => {
      await fleet[Symbol.asyncDispose]();
      await rm(runDir, { recursive: true, force: true });
    },
  };
};
