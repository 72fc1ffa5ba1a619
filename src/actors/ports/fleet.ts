import type { Change, ChangeOutcome, Compared } from '../model/change.ts';
import type {
  ClientConnection,
  Credentials,
  FleetStatus,
  OptionsView,
  PoolStatus,
  TraceEntry,
} from '../model/status.ts';

/** Something the unit cannot tell yet, with the reason a person understands. */
export type NotYet = { readonly kind: 'notYet'; readonly reason: string };
export type Told<T> = { readonly kind: 'told'; readonly value: T } | NotYet;
export type CredentialsAnswer =
  | Told<Credentials>
  | { readonly kind: 'unknownClient'; readonly clients: readonly string[] };

/** What the API may ask of this unit and tell it: the inbound port, implemented by the program on top of the actors. */
export interface Fleet {
  status(): FleetStatus;
  /** Calls back after every change of the status until disposed. */
  onStatus(changed: (status: FleetStatus) => void): Disposable;
  /** This unit's instances serve the newest verified generation: a load balancer may send clients. */
  ready(): { readonly ready: boolean; readonly reason: string };
  options(): Told<OptionsView>;
  /** `expected`: the intent version the operator looked at; null when the change stands by itself. Answers within seconds. */
  change(
    change: Change,
    about: { readonly author: string; readonly reason: string; readonly expected: number | null },
  ): Promise<ChangeOutcome>;
  /** What that change would come to, without making it. */
  compare(change: Change): Promise<ChangeOutcome | Compared>;
  credentials(client: string): CredentialsAnswer;
  /** The last decisions of this unit's actors. */
  trace(): readonly TraceEntry[];
  /** The pools of this unit's instances; of one that does not answer there are none. */
  pools(signal: AbortSignal): Promise<readonly PoolStatus[]>;
  /** Who is connected to the instances of this unit. */
  clients(signal: AbortSignal): Promise<readonly ClientConnection[]>;
}
