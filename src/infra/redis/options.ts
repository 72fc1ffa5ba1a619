import type { Application, UnitName } from '../../actors/model/ids.ts';
import type { Secret } from '../../actors/model/secret.ts';
import type { Clock } from '../../actors/ports/clock.ts';
import type { Log } from '../files/log.ts';
import type { SealKey } from '../files/seal.ts';

export interface RedisBackplaneOptions {
  /** `redis://[user@]host[:port][/db]` or `rediss://…`; no password in it. */
  readonly url: string;
  readonly password: Secret | null;
  /** Certificates (PEM) that sign the server's, for `rediss://`; null: those that Node trusts. */
  readonly ca: string | null;
  readonly sealKey: SealKey;
  readonly application: Application;
  /** `claim`: the lowest number that is free, or one whose folder is here and that no live unit holds. */
  readonly unit: UnitName | 'claim';
  readonly instances: number;
  /** Root of the units' directories. */
  readonly stateDir: string;
  readonly clock: Clock;
  readonly log: Log;
  /** A unit that was silent for longer counts as silent. */
  readonly deadAfterMs?: number;
  /** A command without an answer for so long has failed, and half as much later the connection; 1 s, where it is not said. */
  readonly answerWithinMs?: number | undefined;
  /** Ends the waiting of a `claim` for a store that does not answer. */
  readonly signal?: AbortSignal;
}
