import type {
  Audit,
  BackendAccess,
  BackendFacts,
  BackendServer,
  PostgresOutcome,
  PostgresStep,
  Provision,
} from '../model/backend.ts';
import type { Leadership } from '../model/leadership.ts';

/** No answer in time, or the connection broke. Whether the step was done is unknown; repeating it is safe. */
export class PostgresUnavailable extends Error {
  override readonly name = 'PostgresUnavailable';
}

/** PostgreSQL clusters as their administrator sees them. Methods reject with PostgresUnavailable and nothing else. */
export interface Postgres extends AsyncDisposable {
  /** Looks at every endpoint and finds the one primary. What is wrong is a value, never a rejection. */
  inspect(access: BackendAccess, signal: AbortSignal): Promise<BackendFacts>;
  /** Does one step as administrator, unless the fence there is newer than `leadership`. */
  take(
    access: BackendAccess,
    primary: BackendServer,
    leadership: Leadership,
    step: PostgresStep,
    signal: AbortSignal,
  ): Promise<PostgresOutcome>;
  /**
   * What became of `provisions`, and which logins of this application carry our tag; as long as the fence there stands for
   * `leadership`. It changes nothing.
   */
  audit(
    access: BackendAccess,
    primary: BackendServer,
    leadership: Leadership,
    provisions: readonly Provision[],
    signal: AbortSignal,
  ): Promise<Audit>;
}
