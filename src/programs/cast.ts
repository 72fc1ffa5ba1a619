import { decideWith as decideBackend, initial as initialBackend } from '../actors/relation/backend/decide.ts';
import { performWith as performBackend } from '../actors/relation/backend/perform.ts';
import { decideWith as decideClient, dueAt as clientDueAt } from '../actors/relation/client/decide.ts';
import type { SharedEndpoints } from '../actors/relation/client/databag.ts';
import { initial as initialClient } from '../actors/relation/client/state.ts';
import { type Ports as ClientPorts, performWith as performClient } from '../actors/relation/client/perform.ts';
import { decideWith as decidePeers, initial as initialPeers } from '../actors/relation/peers/decide.ts';
import { performWith as performPeers } from '../actors/relation/peers/perform.ts';
import { decideWith as decideConfig } from '../actors/config/decide.ts';
import { initial as initialConfig } from '../actors/config/state.ts';
import { performWith as performConfig } from '../actors/config/perform.ts';
import { decideWith as decideLeader, initial as initialLeader } from '../actors/leader/decide.ts';
import { performWith as performLeader } from '../actors/leader/perform.ts';
import type { Application, Nonce, UnitName } from '../actors/model/ids.ts';
import { unitNumberOf } from '../actors/model/ids.ts';
import type { Callers } from '../actors/ports/callers.ts';
import type { Workload } from '../actors/ports/workload.ts';
import type { Lack } from '../actors/model/waits.ts';
import { decideWith as decideUnit, initialOf } from '../actors/unit/decide.ts';
import { performWith as performUnit } from '../actors/unit/perform.ts';
import { decideWith as decideWorkload, dueWith as workloadDueWith } from '../actors/workload/decide.ts';
import { initial as initialWorkload } from '../actors/workload/state.ts';
import { performWith as performWorkload } from '../actors/workload/perform.ts';

/** Everything an actor may be tuned by. Durations in milliseconds. */
export interface CastSettings {
  readonly application: Application;
  readonly self: UnitName;
  readonly nonce: Nonce;
  readonly pid: number;
  readonly version: string;
  readonly advertise: string | null;
  /** As `host:port`. */
  readonly endpoints: SharedEndpoints | null;
  readonly leaseTtlMs: number;
  readonly drainDelayMs: number;
  readonly drainDeadlineMs: number;
  readonly departureGraceMs: number;
  readonly leaveAs: 'down' | 'departed';
  /** How often connections in use alone are told to the peers; null: never. */
  readonly usageMs: number | null;
  /** How long a unit that the roster lacks is taken for one that comes back to it; 0 where the roster is never lost. */
  readonly rejoinMs: number;
  /** Why this process only looks. Null as a rule. */
  readonly observeOnly: Lack | null;
}
export interface CastPorts extends ClientPorts {
  readonly workload: Workload;
  readonly callers: Callers;
}

/** The actors of one unit with their ports: the same for every platform. */
export const createCast = (settings: CastSettings, ports: CastPorts): UnitCast => {
  const cast = wholeCast(settings, ports);
  if (settings.observeOnly === null) return cast;
  // Whoever decides for the fleet, or for a backend, does not: this unit tells its peers that it is there, and no more.
  return {
    ...cast,
    leader: { ...cast.leader, decide: idle },
    config: { ...cast.config, decide: idle },
    backend: { ...cast.backend, decide: idle },
    client: { ...cast.client, decide: idle },
  };
};
export type UnitCast = ReturnType<typeof wholeCast>;

const idle = <S>(state: S): { readonly state: S } => ({ state });

const wholeCast = (settings: CastSettings, ports: CastPorts) => {
  const { self, leaseTtlMs, observeOnly } = settings;
  const workload = {
    self,
    advertise: settings.advertise,
    inspectMs: 1_000,
    drainDelayMs: settings.drainDelayMs,
    drainDeadlineMs: settings.drainDeadlineMs,
    observeOnly: observeOnly !== null,
  };
  return {
    unit: {
      initial: initialOf({ observeOnly }),
      decide: decideUnit({ self, nonce: settings.nonce, leaveAs: settings.leaveAs, beatMs: 1_000, observeOnly }),
      perform: performUnit(ports.backplane),
    },
    leader: {
      initial: initialLeader,
      decide: decideLeader({
        self,
        nonce: settings.nonce,
        ttlMs: leaseTtlMs,
        renewMs: Math.round(leaseTtlMs * 0.3),
        marginMs: Math.round(leaseTtlMs * 0.1),
        // Different for neighbours, the same at every start.
        jitterMs: (unitNumberOf(self) * 37) % 200,
      }),
      perform: performLeader(ports.backplane),
    },
    config: {
      initial: initialConfig,
      decide: decideConfig({ self, answerMs: 8_000, shrinkMs: 10_000, rejoinMs: settings.rejoinMs }),
      perform: performConfig(ports.backplane, ports.callers),
    },
    workload: {
      initial: initialWorkload,
      decide: decideWorkload(workload),
      dueAt: workloadDueWith(workload),
      perform: performWorkload(ports.workload),
    },
    peers: {
      initial: initialPeers,
      decide: decidePeers({
        self,
        pid: settings.pid,
        version: settings.version,
        departureGraceMs: settings.departureGraceMs,
        usageMs: settings.usageMs,
      }),
      perform: performPeers(ports.backplane),
    },
    backend: {
      initial: initialBackend,
      decide: decideBackend({ leaderLookMs: 1_000, followerLookMs: 15_000, healingLookMs: 3_000 }),
      perform: performBackend(ports.postgres),
    },
    client: {
      initial: initialClient,
      decide: decideClient({
        application: settings.application,
        laggardMs: 30_000,
        endpoints: settings.endpoints,
        auditMs: 2_000,
      }),
      dueAt: clientDueAt,
      perform: performClient(ports),
    },
  };
};
