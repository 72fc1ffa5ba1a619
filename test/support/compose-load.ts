import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { docker } from './docker.ts';
import type { ComposeFleet } from './compose-fleet.ts';

/** What a load of clients noticed. */
export interface LoadReport {
  readonly exitCode: number;
  readonly failed: number | null;
  readonly complaints: readonly string[];
  readonly transactions: number;
}

const script = 'insert into load values (:client_id);';

/** pgbench beside HAProxy, connecting anew for each transaction; resolves once it made progress. */
export const startReconnectingLoad = async (fleet: ComposeFleet) => {
  const name = `troupe-e2e-load-${randomBytes(4).toString('hex')}`;
  const bench = 'pgbench -n -C -c 2 -j 2 -R 20 -T 900 -P 1 -f /tmp/load.sql';
  const command = [
    'set -a; . /client/app; set +a; export PGCONNECT_TIMEOUT=30',
    `psql -qX -c 'set client_min_messages = warning' -c 'create table if not exists load (who int)'`,
    `echo '${script}' >/tmp/load.sql`,
    `exec ${bench}`,
  ].join('; ');
  const once = ['run', '-d', '--no-deps', '--name', name, '--entrypoint', 'bash', 'client', '-c', command];
  await fleet.compose(...once);
  const log = async (): Promise<string> => docker(['logs', name], { both: true });
  const deadline = performance.now() + 30_000;
  while (!/^progress: .* s, (?!0\.0 )[\d.]+ tps/m.test(await log())) {
    if (performance.now() > deadline) throw new Error(`the load does not begin: ${await log()}`);
    await delay(200);
  }
  return {
    /** As if its time were over. */
    end: async (): Promise<LoadReport> => {
      await docker(['kill', '-s', 'ALRM', name]).catch(() => {}); // When it has ended, its words say why.
      const exitCode = Number(await docker(['wait', name]));
      const text = await log();
      const numberIn = (pattern: RegExp): number | null => {
        const found = pattern.exec(text)?.[1];
        return found === undefined ? null : Number(found);
      };
      return {
        exitCode,
        failed: numberIn(/number of failed transactions: (\d+)/),
        complaints: text.split('\n').filter((line) => /error|fatal|abort/i.test(line)),
        transactions: numberIn(/number of transactions actually processed: (\d+)/) ?? 0,
      };
    },
    [Symbol.asyncDispose]: async (): Promise<void> => void (await docker(['rm', '-f', '-v', name])),
  };
};
