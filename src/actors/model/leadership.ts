import type { Epoch, Nonce, UnitName } from './ids.ts';

/**
 * The right to act as leader. Opaque outside the `leader` actor: others carry it along with what they decided under it,
 * and the store and PostgreSQL refuse an old one. Only `leader` looks at `until` (monotonic ms of this process).
 */
export interface Leadership {
  readonly epoch: Epoch;
  readonly nonce: Nonce;
  readonly holder: UnitName;
  readonly until: number;
}
