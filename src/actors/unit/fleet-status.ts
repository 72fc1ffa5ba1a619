import { parseVersion } from '../../pgbouncer/version.ts';
import { weaknessesOf } from '../../pgbouncer/weaknesses.ts';
import { budgetsIn, sum } from '../model/budget.ts';
import type { FleetSpec } from '../model/fleet-spec.ts';
import type { Application, BudgetKey, RelationId, UnitName } from '../model/ids.ts';
import { unitNumberOf } from '../model/ids.ts';
import { departureOf, type UnreadableEntry } from '../model/intent.ts';
import type { Remark } from '../model/remark.ts';
import type { BackendReport, InstanceReport, Snapshot, UnitRecord } from '../model/snapshot.ts';
import type { BudgetStatus, FleetStatus, RelationStatus, UnitStatus } from '../model/status.ts';
import { lack } from '../model/wait-catalogue.ts';
import type { StatusWord } from '../model/waits.ts';
import type { UnitState } from './decide.ts';

export interface Viewpoint {
  readonly application: Application;
  readonly self: UnitName;
  /** Of this coordinator. */
  readonly pid: number;
  readonly version: string;
  /** Kind of backplane, as people know it: redis, embedded, juju. */
  readonly backplane: string;
  /** A unit that is down or silent this long gives up its number. */
  readonly departureGraceMs: number;
  readonly now: number;
  readonly wall: number;
}

/** The fleet as this unit sees it: itself from its own state, the others from their databags as last read. */
export const fleetStatusOf = (state: UnitState, view: Viewpoint): FleetStatus => {
  const snapshot = state.snapshot.known ? state.snapshot.value : null;
  const leader = leaderOf(snapshot, state, view);
  const nameOf = namesIn(snapshot);
  const units = unitsOf(state, snapshot, leader?.unit ?? null, view, nameOf);
  return {
    schemaVersion: 1,
    application: view.application,
    answeredBy: view.self,
    backplane: backplaneOf(state, view),
    leader,
    intent:
      snapshot?.intent == null
        ? null
        : { version: snapshot.intent.version, author: snapshot.intent.author, at: iso(snapshot.intent.at) },
    generation: {
      published: snapshot?.published?.generation ?? state.report?.verified?.generation ?? null,
      good: snapshot?.verdict.good?.generation ?? null,
      intentVersion:
        snapshot?.published == null ? null : Math.max(snapshot.published.intentVersion, snapshot.verdict.covers),
      refused: snapshot?.verdict.refused ?? null,
    },
    units,
    budgets: budgetsOf(snapshot?.published?.spec ?? state.report?.verified?.spec ?? null, units, nameOf),
    relations: snapshot === null ? [] : relationsOf(snapshot, leader?.unit ?? null, state, view),
  };
};

const iso = (wallMs: number): string => new Date(wallMs).toISOString();

/** The lease as last read, less the time that has passed since. */
const leaderOf = (snapshot: Snapshot | null, state: UnitState, view: Viewpoint): FleetStatus['leader'] => {
  if (snapshot === null || snapshot.lease.holder === null) return null;
  const left = snapshot.lease.freeInMs - (view.now - state.snapshotAt);
  return left > 0 ? { unit: snapshot.lease.holder, epoch: snapshot.lease.epoch } : null;
};

const backplaneOf = ({ backplane }: UnitState, view: Viewpoint): FleetStatus['backplane'] => {
  const kind = view.backplane;
  const since = iso(view.wall - (backplane.kind === 'unknown' ? 0 : view.now - backplane.since));
  switch (backplane.kind) {
    case 'unknown':
      return { kind, state: 'unreachable', message: 'it has not been read since this unit started', since };
    case 'connected':
      return { kind, state: 'connected', message: '', since };
    case 'unreachable':
      return { kind, state: 'unreachable', message: backplane.reason, since };
    case 'refused':
      return { kind, state: 'conflicted', message: backplane.reason, since };
  }
};

const unitsOf = (
  state: UnitState,
  snapshot: Snapshot | null,
  leader: string | null,
  view: Viewpoint,
  nameOf: NameOf,
): readonly UnitStatus[] => {
  const others = (snapshot?.units ?? []).filter(({ unit }) => unit !== view.self);
  const seen = others.map((record) => peerStatus(record, state, leader, view, nameOf));
  return [...seen, ownStatus(state, leader, view, nameOf)].toSorted((a, b) => a.number - b.number);
};

const ownStatus = (state: UnitState, leader: string | null, view: Viewpoint, nameOf: NameOf): UnitStatus => ({
  unit: view.self,
  number: unitNumberOf(view.self),
  address: state.report?.address ?? '',
  leader: leader === view.self,
  pid: view.pid,
  version: view.version,
  status: state.status.word,
  message: state.status.message,
  generation: { applied: state.report?.verified?.generation ?? null, refused: state.report?.refused ?? null },
  instances: state.report?.instances ?? [],
  waits: state.status.waits.map(({ id, kind, message, on, since }) => ({
    id,
    kind,
    message,
    since: iso(view.wall - (view.now - since)),
    on,
  })),
  remarks: state.status.remarks.map((remark) => remarkStatus(remark, view)),
  budget: (state.report?.budget ?? []).map(nameOf),
  lastSeenMs: 0,
  leaving: state.departing && state.phase !== 'left',
  weaknesses: weaknessesIn(state.report?.instances ?? []),
});

const remarkStatus = ({ id, message, since }: Remark, { wall, now }: Viewpoint): UnitStatus['remarks'][number] => ({
  id,
  message,
  since: iso(wall - (now - since)),
});

const peerStatus = (
  record: UnitRecord,
  state: UnitState,
  leader: string | null,
  view: Viewpoint,
  nameOf: NameOf,
): UnitStatus => {
  const { unit, bag, silentMs } = record;
  const damage = state.damaged.get(unit) ?? [];
  return {
    unit,
    number: unitNumberOf(unit),
    address: bag?.address ?? '',
    leader: leader === unit,
    pid: bag?.pid ?? null,
    version: bag?.version ?? null,
    ...wordOf(record, damage.length > 0, view.now - state.snapshotAt, view.departureGraceMs),
    generation: { applied: bag?.applied ?? null, refused: bag?.refused ?? null },
    instances: bag?.instances ?? [],
    waits: (bag?.waits ?? []).map(({ sinceWallMs, ...wait }) => ({ ...wait, since: iso(sinceWallMs) })),
    remarks: [
      ...(bag?.remarks ?? []).map(({ id, message, sinceWallMs }) => ({ id, message, since: iso(sinceWallMs) })),
      ...damage.map((remark) => remarkStatus(remark, view)),
    ],
    budget: (bag?.budget ?? []).map(nameOf),
    lastSeenMs: Math.round(silentMs + view.now - state.snapshotAt),
    leaving: state.snapshot.known && departureOf(state.snapshot.value.intent, record) !== null,
    weaknesses: weaknessesIn(bag?.instances ?? []),
  };
};

type NameOf = <T extends BudgetKey>(budget: T) => Omit<T, keyof BudgetKey> & Pick<BudgetStatus, 'of' | 'name'>;

/** People know a login by its client. */
const namesIn = (snapshot: Snapshot | null): NameOf => {
  const clients = new Map((snapshot?.relations ?? []).map(({ account, name }) => [account.username, name]));
  return ({ of, name, ...rest }) =>
    of === 'database' ? { ...rest, of, name } : { ...rest, of: 'client', name: clients.get(name) ?? name };
};

const budgetsOf = (spec: FleetSpec | null, units: readonly UnitStatus[], nameOf: NameOf): FleetStatus['budgets'] =>
  (spec === null ? [] : budgetsIn(spec)).map(({ maxConnections, ...key }) => {
    const { of, name } = nameOf(key);
    const theirs = units.flatMap(({ budget }) => budget.filter((one) => one.of === of && one.name === name));
    const held = sum(theirs.map((one) => one.held ?? Number.POSITIVE_INFINITY));
    return {
      of,
      name,
      total: maxConnections,
      given: sum(theirs.map((one) => one.given)),
      used: sum(theirs.map((one) => one.used)),
      held: Number.isFinite(held) ? held : null,
    };
  });

/** Of every version that runs there, each named once. */
const weaknessesIn = (instances: readonly InstanceReport[]): UnitStatus['weaknesses'] => {
  const found = instances.flatMap(({ version }) => {
    const parsed = version === null ? null : parseVersion(version);
    return parsed === null ? [] : weaknessesOf(parsed);
  });
  return [...new Map(found.map((weakness) => [weakness.id, weakness])).values()];
};

/** In minutes: what changes every second is no message. */
const departureIn = (ms: number): string => (ms <= 0 ? 'now' : `in ${Math.ceil(ms / 60_000)} min`);

const staleMs = 5_000;
const wordOf = (
  { presence, silentMs, bag }: UnitRecord,
  isDamaged: boolean,
  readAgoMs: number,
  departureGraceMs: number,
): { readonly status: StatusWord; readonly message: string } => {
  const departs = `it departs ${departureIn(departureGraceMs - silentMs - readAgoMs)} unless it comes back`;
  if (presence === 'down') {
    const how = bag?.status === 'down' ? bag.message : 'stopped on purpose';
    return { status: 'down', message: `${how}; ${departs}` };
  }
  if (presence === 'silent')
    return {
      status: 'unknown',
      message: `no heartbeat: its coordinator is away, its PgBouncers may well serve; ${departs}`,
    };
  // What was read long ago is no news of anybody.
  if (readAgoMs > staleMs)
    return {
      status: 'unknown',
      message: 'not heard of since the backplane last answered',
    };
  return {
    status: bag?.status ?? 'unknown',
    message: bag?.message ?? (isDamaged ? 'what it says of itself cannot be read' : 'just joined'),
  };
};

/** What keeps a relation waiting is known to the leader, which tells it in its databag under `client:<name>:…`. */
const relationsOf = (
  snapshot: Snapshot,
  leader: string | null,
  state: UnitState,
  view: Viewpoint,
): readonly RelationStatus[] => {
  const waits =
    leader === view.self ? state.status.waits : (snapshot.units.find(({ unit }) => unit === leader)?.bag?.waits ?? []);
  const seen =
    leader === view.self ? state.backends : (snapshot.units.find(({ unit }) => unit === leader)?.bag?.backends ?? []);
  const about = (prefix: string) => {
    const those = waits.filter(({ id }) => id === prefix || id.startsWith(`${prefix}:`));
    return those.find(({ kind }) => kind === 'blocked') ?? those[0];
  };
  const backends = Object.entries(snapshot.intent?.backends ?? {}).map(([name, { id }]): RelationStatus => {
    const wait = about(`backend:${name}`);
    const servers = seen.find((report) => report.name === name);
    const shown =
      wait === undefined && servers !== undefined
        ? `${sentenceOf(servers)}${overdrawnText(servers, snapshot.published?.spec ?? null)}`
        : '';
    return {
      id,
      name,
      endpoint: 'backend-database',
      database: null,
      life: 'alive',
      ...stateOf(wait, shown),
      servers: servers === undefined ? null : withoutName(servers),
    };
  });
  const clients = Object.entries(snapshot.intent?.clients ?? {}).map(([name, { id, database }]): RelationStatus => {
    const wait = about(`client:${name}`);
    const published = snapshot.relations.some((record) => record.id === id && record.databag !== null);
    const served = { state: 'active', message: `database ${database}` } as const;
    const state =
      wait === undefined && published
        ? served
        : stateOf(wait ?? { kind: 'waiting', message: 'no leader has taken it up yet' });
    return { id, name, endpoint: 'database', database, life: 'alive', ...state, servers: null };
  });
  const unreadable = (snapshot.intent?.unreadable ?? []).flatMap((entry) =>
    entry.of === 'options' ? [] : [unreadableStatus(entry, snapshot.relations)],
  );
  const named = new Set([...clients, ...unreadable].map(({ id }) => id));
  const dying = snapshot.relations
    .filter(({ id }) => !named.has(id))
    .map(({ id, name, database }): RelationStatus => {
      const wait = about(`client:${name}`) ?? { kind: 'waiting' as const, message: 'its login is being removed' };
      return { id, name, endpoint: 'database', database, life: 'dying', ...stateOf(wait), servers: null };
    });
  return [...backends, ...clients, ...unreadable, ...dying].toSorted((a, b) => a.id - b.id);
};

/** The same whoever leads: it is in the intent that everybody reads. */
const unreadableStatus = (
  { of, name, id, reason }: UnreadableEntry,
  records: Snapshot['relations'],
): RelationStatus => {
  const record =
    of === 'clients' ? records.find((one) => (id === null ? one.name === name : one.id === id)) : undefined;
  const about = { name, reason, others: 0 };
  const { kind, message } = of === 'clients' ? lack.clientEntry(about) : lack.backendEntry(about);
  return {
    id: id ?? record?.id ?? (0 as RelationId),
    name,
    endpoint: of === 'clients' ? 'database' : 'backend-database',
    database: record?.database ?? null,
    life: 'alive',
    ...stateOf({ kind, message }),
    servers: null,
  };
};

const sentenceOf = ({ primary, standbys, version, timeline }: BackendReport): string =>
  [
    `PostgreSQL ${version}, primary ${primary}`,
    ...(standbys.length === 0 ? [] : [`${standbys.length === 1 ? 'standby' : 'standbys'} ${standbys.join(', ')}`]),
    `timeline ${timeline}`,
  ].join(', ');

/** What the databases there may use together may be more than their server takes: then clients meet its refusal, not their queue. */
const overdrawnText = ({ name, clientConnections }: BackendReport, spec: FleetSpec | null): string => {
  const theirs = (spec?.databases ?? []).filter(({ backend, readOnly }) => backend === name && !readOnly);
  const together = sum(theirs.map(({ maxConnections }) => maxConnections));
  return clientConnections === 0 || together <= clientConnections
    ? ''
    : `; its databases may use ${together} connections together and it takes ${clientConnections}: raise max_connections there, or lower max_db_connections`;
};

const withoutName = ({ name: _, ...servers }: BackendReport): RelationStatus['servers'] => servers;

const stateOf = (
  wait: { readonly message: string; readonly kind: 'waiting' | 'blocked' } | undefined,
  otherwise = '',
): { readonly state: 'active' | 'waiting' | 'blocked'; readonly message: string } =>
  wait === undefined ? { state: 'active', message: otherwise } : { state: wait.kind, message: wait.message };
