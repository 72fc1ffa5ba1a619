import { type BackendFacts, type BackendServer, textOf } from '../../actors/model/backend.ts';
import { serverOf } from './endpoint.ts';

/** What one look at one endpoint found. */
export type Sighting = { readonly endpoint: string } & (
  | { readonly kind: 'seen'; readonly server: BackendServer; readonly identity: Identity; readonly state: ServerState }
  | { readonly kind: 'away' | 'refused'; readonly reason: string }
);

/** What stays the same while a server runs. */
export interface Identity {
  /** Null where our login may not read it. */
  readonly systemId: string | null;
  /** To the microsecond: two endpoints that show the same one lead to one server. */
  readonly startedAt: string;
  readonly version: number;
  readonly maxConnections: number;
  /** Less those that are reserved for superusers. */
  readonly clientConnections: number;
}

export interface ServerState {
  readonly inRecovery: boolean;
  /** Null in recovery. */
  readonly timeline: number | null;
  readonly isSuperuser: boolean;
  readonly canCreateRole: boolean;
  readonly canCreateDatabase: boolean;
  readonly inherits: boolean;
  /** New transactions of clients cannot write unless they say so. */
  readonly isReadOnly: boolean;
  /** All connections are taken that an ordinary login can have. */
  readonly isFull: boolean;
}

type Seen = Extract<Sighting, { kind: 'seen' }>;

/** Finds the one primary among what was seen, or says what stands in the way. */
export const factsOf = (username: string, sightings: readonly Sighting[]): BackendFacts => {
  const servers = distinct(sightings.filter((sighting) => sighting.kind === 'seen'));
  const strangers = distinctClusters(servers);
  if (strangers.length > 1)
    return blocked(
      `its endpoints belong to different PostgreSQL clusters (${strangers.join(', ')}); name the servers of one`,
    );
  const primaries = servers.filter(({ state }) => !state.inRecovery);
  const [primary, second] = primaries;
  if (primary === undefined) return withoutPrimary(sightings, servers);
  if (second !== undefined)
    return blocked(
      `it has more than one primary (${primaries.map(nameOf).join(', ')}); stop those that clients must not write to, or make them standbys`,
    );
  const fault = faultOf(username, primary);
  if (fault !== null) return blocked(fault);
  return readyWith(primary, servers, sightings);
};

const oldestVersion = 140_000;
/** Since then, what a login may do with a role it made does not depend on its own INHERIT. */
const grantsInherit = 160_000;

const readyWith = (
  { server, identity, state }: Seen,
  servers: readonly Seen[],
  sightings: readonly Sighting[],
): BackendFacts => ({
  kind: 'ready',
  primary: server,
  standbys: servers.filter((other) => other.state.inRecovery).map((other) => other.server),
  silent: sightings.flatMap(({ kind, endpoint }) => (kind === 'away' ? (serverOf(endpoint) ?? []) : [])),
  version: identity.version,
  systemId: identity.systemId ?? 'unknown',
  timeline: state.timeline ?? 0,
  maxConnections: identity.maxConnections,
  clientConnections: identity.clientConnections,
  ailments: [...(state.isReadOnly ? ['readOnly' as const] : []), ...(state.isFull ? ['full' as const] : [])],
});

const distinct = (seen: readonly Seen[]): readonly Seen[] =>
  seen.filter((one, index) => seen.findIndex((other) => isSameServer(one, other)) === index);

const isSameServer = (a: Seen, b: Seen): boolean =>
  a.identity.startedAt === b.identity.startedAt && a.identity.systemId === b.identity.systemId;

const distinctClusters = (servers: readonly Seen[]): readonly string[] => {
  const firstOf = new Map(
    servers.flatMap((server) => (server.identity.systemId === null ? [] : [[server.identity.systemId, server]])),
  );
  return [...firstOf].map(([systemId, server]) => `${nameOf(server)} is ${systemId}`);
};

const withoutPrimary = (sightings: readonly Sighting[], standbys: readonly Seen[]): BackendFacts => {
  const reasons = sightings.flatMap((sighting) =>
    sighting.kind === 'seen' ? [] : [`${sighting.endpoint}: ${sighting.reason}`],
  );
  const found = standbys.map((standby) => `${nameOf(standby)}: in recovery, a standby`);
  const words = [...reasons, ...found].join('; ');
  return sightings.some(({ kind }) => kind === 'refused')
    ? blocked(`cannot look at its servers: ${words}`)
    : { kind: 'away', reason: `no primary within reach: ${words === '' ? 'it has no endpoints' : words}` };
};

const faultOf = (username: string, { identity, state }: Seen): string | null => {
  if (identity.version < oldestVersion) {
    return `PostgreSQL ${Math.floor(identity.version / 10_000)} is too old; Troupe needs 14`;
  }
  if (state.isSuperuser) return null;
  const lacks = [
    ...(state.canCreateRole ? [] : ['CREATEROLE']),
    ...(state.canCreateDatabase ? [] : ['CREATEDB']),
    ...(state.inherits || identity.version >= grantsInherit ? [] : ['INHERIT']),
  ];
  if (lacks.length === 0) return null;
  return `login "${username}" lacks ${lacks.join(' and ')}; as a superuser run ALTER ROLE "${username.replaceAll('"', '""')}" ${lacks.join(' ')}`;
};

const blocked = (reason: string): BackendFacts => ({ kind: 'blocked', reason });
const nameOf = ({ server }: Seen): string => textOf(server);
