import type { PgBouncerVersion, PoolFact } from '../../actors/model/workload.ts';
import { canaryIn, haltedIn, isPaused, poolsShown, type Rows, settingsShown, versionIn } from '../../pgbouncer/show.ts';
import { isAtLeast } from '../../pgbouncer/version.ts';
import type { Console, Patience } from '../console/console.ts';

/** What an instance says of itself. */
export interface Look {
  readonly version: PgBouncerVersion;
  readonly canary: string | null;
  readonly settings: Readonly<Record<string, string>>;
  readonly pools: readonly PoolFact[];
  /** As SHOW DATABASES shows them. */
  readonly databases: Rows;
  /** Databases that somebody halted on its console. */
  readonly halted: readonly string[];
  /** Null before 1.19, which cannot tell. */
  readonly paused: boolean | null;
}

/** Null when its console does not answer all of it. A version that is known already is not asked for again. */
export const lookAt = async (
  console: Console,
  known: PgBouncerVersion | null,
  patience: Patience,
): Promise<Look | null> => {
  const version = known ?? (await versionAt(console, patience));
  const config = version === null ? null : await console.show('config', patience);
  if (version === null || config?.kind !== 'answered') return null;
  const databases = await console.show('databases', patience);
  if (databases.kind !== 'answered') return null;
  const pools = await console.show('pools', patience);
  if (pools.kind !== 'answered') return null;
  const state = isAtLeast(version, '1.19') ? await console.show('state', patience) : null;
  if (state !== null && state.kind !== 'answered') return null;
  return {
    version,
    canary: canaryIn(config.value),
    settings: settingsShown(config.value),
    pools: poolsShown(databases.value, pools.value),
    databases: databases.value,
    halted: haltedIn(databases.value).map(({ name }) => name),
    paused: state === null ? null : isPaused(state.value),
  };
};

export const versionAt = async (console: Console, patience: Patience): Promise<PgBouncerVersion | null> => {
  const answer = await console.show('version', patience);
  return answer.kind === 'answered' ? versionIn(answer.value) : null;
};
