import {
  type BackendFacts,
  type BackendServer,
  type Finding,
  type PostgresStep,
  versionText,
} from '../../model/backend.ts';
import { type Published, readOnlyNameOf } from '../../model/fleet-spec.ts';
import type { UnitName } from '../../model/ids.ts';
import { same } from '../../model/same.ts';
import type { Account, Inheritance, RelationRecord, UnitRecord } from '../../model/snapshot.ts';
import { lack } from '../../model/wait-catalogue.ts';
import type { Lack } from '../../model/waits.ts';
import { databagOf, endpointsOf, type SharedEndpoints } from './databag.ts';
import type { Relation } from './relations.ts';

/** What this process did for a relation; everything lasting is in its record. */
export interface Progress {
  readonly account: Account | null;
  readonly databaseReady: boolean;
  readonly loginReady: boolean;
  readonly loginDropped: boolean;
  /** The login that looks up others, minted; and what became of it. */
  readonly lookup: Account | null;
  readonly lookupReady: boolean;
  readonly lookupDropped: boolean;
  /** Since when units have kept the credentials waiting. */
  readonly lateSince: number | null;
}

export interface Surroundings {
  /** Undefined: not looked at yet. */
  readonly facts: BackendFacts | undefined;
  /** Nothing of the backend is asked for any more: what lies there is out of reach, and nobody's to wait for. */
  readonly isBackendGone: boolean;
  /** The backend knows our leadership. */
  readonly fenced: boolean;
  readonly published: Published | null;
  readonly units: readonly UnitRecord[];
  readonly laggardMs: number;
  readonly endpoints: SharedEndpoints | null;
  /** What the last audit found otherwise than it was left. */
  readonly finding: Finding | null;
  /** Why another client of this database cannot have it: it is not made anew behind their backs. */
  readonly lost: string | null;
  /** Other clients of this database make logins of their own. */
  readonly makersLeft: boolean;
  /** What it was given before we served it; null: nothing. */
  readonly inherited: Inheritance | null;
  /** PostgreSQL has refused the step before this one. */
  readonly refused: boolean;
}

/** The one thing to do next for a relation, or what it waits for, or nothing. */
export type NextStep =
  | { readonly type: 'mint'; readonly lookup: boolean }
  | { readonly type: 'keep'; readonly inherited: Inheritance }
  | { readonly type: 'record'; readonly record: RelationRecord }
  | { readonly type: 'forget' }
  | { readonly type: 'fence'; readonly primary: BackendServer }
  | { readonly type: 'postgres'; readonly primary: BackendServer; readonly step: PostgresStep }
  | { readonly type: 'wait'; readonly lack: Lack }
  | { readonly type: 'nothing' };

export const nextStep = (relation: Relation, progress: Progress, around: Surroundings, now: number): NextStep =>
  relation.life === 'dying' ? nextOfDying(relation, progress, around) : nextOfAlive(relation, progress, around, now);

const nextOfAlive = (relation: Relation, progress: Progress, around: Surroundings, now: number): NextStep => {
  const { id, name, database, backend, record } = relation;
  if (record === null) {
    const { account } = progress;
    const { inherited } = around;
    if (account === null) return inherited === null ? { type: 'mint', lookup: false } : { type: 'keep', inherited };
    const first = { id, name, database, backend, account, provisioned: false, databag: null };
    return { type: 'record', record: inherited === null ? first : { ...first, adopted: inherited.rights } };
  }
  if (!record.provisioned) return provisioning(relation, record, progress, around);
  const next = publishing(relation, record, progress, around, now);
  if (next.type === 'record') return next;
  return mending(relation, record, around) ?? lookingUp(relation, record, progress, around) ?? next;
};

/** Its login may make others: those log in too. */
export const makesLogins = ({ extraUserRoles }: Pick<Relation, 'extraUserRoles'>): boolean =>
  extraUserRoles.some((role) => role.toLowerCase() === 'createrole');

/** Once it has its credentials, which do not wait for this. Null when nothing is to be done for logins that it makes. */
const lookingUp = (
  relation: Relation,
  record: RelationRecord,
  progress: Progress,
  { facts, fenced, lost }: Surroundings,
): NextStep | null => {
  if (!makesLogins(relation) || record.databag === null || record.lookup?.ready === true) return null;
  if (facts?.kind !== 'ready' || lost !== null) return null;
  const account = record.lookup?.account ?? progress.lookup;
  if (account === null) return { type: 'mint', lookup: true };
  if (record.lookup === undefined || record.lookup === null)
    return { type: 'record', record: { ...record, lookup: { account, ready: false } } };
  const { primary } = facts;
  if (!fenced) return { type: 'fence', primary };
  if (progress.lookupReady) return { type: 'record', record: { ...record, lookup: { account, ready: true } } };
  return { type: 'postgres', primary, step: lookupStepOf(relation, record, account) };
};

const lookupStepOf = ({ id, database }: Relation, record: RelationRecord, lookup: Account): PostgresStep => ({
  type: 'ensureLookup',
  relation: id,
  database,
  username: record.account.username,
  lookup,
});

const mending = (
  relation: Relation,
  record: RelationRecord,
  { finding, facts, fenced }: Surroundings,
): NextStep | null => {
  if (finding === null || facts?.kind !== 'ready') return null;
  if (finding.kind === 'lost') return { type: 'wait', lack: lack.clientLost({ ...relation, reason: finding.reason }) };
  if (finding.kind === 'hindered')
    return { type: 'wait', lack: lack.clientHindered({ ...relation, reason: finding.reason }) };
  const { primary } = facts;
  if (!fenced) return { type: 'fence', primary };
  return { type: 'postgres', primary, step: mendingStepOf(finding.step, relation, record) };
};

const mendingStepOf = (
  step: Extract<Finding, { kind: 'mendable' }>['step'],
  relation: Relation,
  record: RelationRecord,
): PostgresStep => {
  if (step === 'mendDatabase') return databaseStepOf(relation, record, 'mendDatabase');
  const account = record.lookup?.account;
  return step === 'ensureLookup' && account !== undefined
    ? lookupStepOf(relation, record, account)
    : loginStepOf(relation, record);
};

const databaseStepOf = (
  { database }: Relation,
  { adopted }: RelationRecord,
  type: 'ensureDatabase' | 'mendDatabase',
): PostgresStep => ({ type: adopted === undefined ? type : 'adoptDatabase', database });

const loginStepOf = (
  { id, database, extraUserRoles }: Relation,
  { account, adopted }: RelationRecord,
): PostgresStep => {
  const { username, verifier } = account;
  return adopted === undefined
    ? { type: 'ensureLogin', relation: id, database, username, verifier, extraUserRoles }
    : { type: 'adoptLogin', relation: id, database, ...account, rights: adopted };
};

const provisioning = (
  relation: Relation,
  record: RelationRecord,
  progress: Progress,
  around: Surroundings,
): NextStep => {
  const { facts } = around;
  const login = loginStepOf(relation, record);
  if (facts?.kind !== 'ready')
    return { type: 'wait', lack: lack.clientBackend({ ...relation, reason: facts?.reason ?? null }) };
  const { primary } = facts;
  if (!around.fenced) return { type: 'fence', primary };
  if (around.lost !== null) return { type: 'wait', lack: lack.clientLost({ ...relation, reason: around.lost }) };
  if (!progress.databaseReady)
    return { type: 'postgres', primary, step: databaseStepOf(relation, record, 'ensureDatabase') };
  if (!progress.loginReady) return { type: 'postgres', primary, step: login };
  return { type: 'record', record: { ...record, provisioned: true } };
};

const publishing = (
  relation: Relation,
  record: RelationRecord,
  progress: Progress,
  around: Surroundings,
  now: number,
): NextStep => {
  const { published, units, facts } = around;
  const { username } = record.account;
  const { name } = relation;
  if (published?.spec.users.some((user) => user.name === username) !== true)
    return { type: 'wait', lack: lack.clientFleetSpec({ name }) };
  const late = laggards(units, published);
  const patient = progress.lateSince === null || now - progress.lateSince < around.laggardMs;
  // Credentials that are out stay as they are while units catch up with a newer generation.
  if (late.length > 0 && patient && record.databag !== null) return { type: 'nothing' };
  if (late.length > 0 && patient)
    return { type: 'wait', lack: lack.clientUnits({ name, generation: published.generation, late }) };
  if (endpointsOf(units, record, around.endpoints).length === 0)
    return { type: 'wait', lack: lack.clientNowhere({ name }) };
  const version = facts?.kind === 'ready' ? versionText(facts.version) : stringOf(record.databag?.['version']);
  const databag = databagOf(record, units, {
    version,
    isReadable: isReadable(published, record),
    shared: around.endpoints,
  });
  return same(databag, record.databag) ? { type: 'nothing' } : { type: 'record', record: { ...record, databag } };
};

/** What is published leads to standbys, or to what stands in for them. */
const isReadable = ({ spec }: Published, { database }: RelationRecord): boolean =>
  spec.databases.some(({ name, readOnly }) => readOnly && name === readOnlyNameOf(database));

/** Live units that have a share in the generation and do not serve it yet. */
export const laggards = (units: readonly UnitRecord[], { generation, spec }: Published): readonly UnitName[] =>
  units.flatMap(({ unit, presence, bag }) =>
    presence === 'live' && bag?.applied !== generation && spec.slots.some((slot) => slot.unit === unit) ? [unit] : [],
  );

const nextOfDying = (
  relation: Relation,
  { databaseReady, loginReady, loginDropped, lookupDropped }: Progress,
  { facts, fenced, isBackendGone, makersLeft, refused }: Surroundings,
): NextStep => {
  if (relation.record === null) return { type: 'nothing' };
  if (loginDropped || isBackendGone) return { type: 'forget' };
  if (facts?.kind !== 'ready')
    return { type: 'wait', lack: lack.clientRemoval({ ...relation, reason: facts?.reason ?? null }) };
  const { primary } = facts;
  if (!fenced) return { type: 'fence', primary };
  const { id, database } = relation;
  const { account, lookup, adopted, provisioned } = relation.record;
  // Only what is ours is dropped; one that cannot become ours is somebody else's.
  if (adopted !== undefined && !provisioned && !refused && !loginReady) {
    const { record } = relation;
    const step = databaseReady ? loginStepOf(relation, record) : databaseStepOf(relation, record, 'ensureDatabase');
    return { type: 'postgres', primary, step };
  }
  if (lookup !== undefined && lookup !== null && !lookupDropped) {
    const asking = { relation: id, database, username: lookup.account.username };
    return { type: 'postgres', primary, step: { type: 'dropLookup', ...asking, isLast: !makersLeft } };
  }
  return { type: 'postgres', primary, step: { type: 'dropLogin', relation: id, username: account.username } };
};

const stringOf = (value: unknown): string => (typeof value === 'string' ? value : '');
