import { join } from 'node:path';
import type { Application } from '../../actors/model/ids.ts';
import type { RedisServer } from './redis.ts';
import { type OnSpawned, type ServerProcess, startProcess } from './server-process.ts';
import type { Account } from './service-user.ts';

/** What all units of one application on this machine have in common. */
export interface UnitsOptions {
  readonly application: Application;
  /** The program that runs a unit, for instance `node …/main.ts unit`. */
  readonly command: readonly [program: string, ...args: string[]];
  readonly directory: string;
  readonly runDir: string;
  readonly redis: Pick<RedisServer, 'url' | 'passwordFile'>;
  readonly secretKeyFile: string;
  readonly instances: number;
  readonly pgbouncer: string;
  readonly account: Account;
  /** Further TROUPE_* values. */
  readonly environment: Readonly<Record<string, string>>;
  readonly onSpawned: OnSpawned;
}

export interface UnitPlace {
  readonly unit: string;
  readonly number: number;
  readonly address: string;
  readonly log: string;
}

export interface UnitProcess {
  readonly process: ServerProcess;
  stop(): Promise<void>;
}

/** An ordinary unit. It is started with our rights and drops to the account by itself, as it does everywhere. */
export const startUnit = async (options: UnitsOptions, unit: UnitPlace): Promise<UnitProcess> => {
  const [command, ...args] = options.command;
  const process = await startProcess({
    command,
    args,
    onSpawned: options.onSpawned,
    directory: '/', // The checkout may be closed to the account.
    log: unit.log,
    environment: environmentOf(options, unit),
  });
  return { process, stop: () => process.stop([['SIGTERM', 10_000]]) };
};

/** The settings of a unit, wherever it runs. */
export const environmentOf = (options: UnitsOptions, unit: UnitPlace): Readonly<Record<string, string>> => ({
  TROUPE_APPLICATION: options.application,
  TROUPE_UNIT: unit.unit,
  TROUPE_BACKPLANE: options.redis.url,
  TROUPE_BACKPLANE_PASSWORD_FILE: options.redis.passwordFile,
  TROUPE_SECRET_KEY_FILE: options.secretKeyFile,
  TROUPE_STATE_DIR: join(options.directory, `unit-${unit.number}`),
  TROUPE_RUN_DIR: options.runDir,
  TROUPE_INSTANCES: String(options.instances),
  TROUPE_LISTEN_ADDRESS: unit.address,
  TROUPE_PGBOUNCER: options.pgbouncer,
  TROUPE_USER: options.account.name,
  TROUPE_DRAIN_DELAY: '0',
  TROUPE_DRAIN_DEADLINE: '1',
  ...options.environment,
});
