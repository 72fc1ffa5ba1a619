/**
 * What a unit finds when a dispatch begins, under the key of its fleet, and what becomes of it: everything that is written goes here
 * first, where later readings of the same dispatch see it, and to Juju when the dispatch ends.
 */
import { randomBytes } from 'node:crypto';
import { applicationOf, type UnitName } from '../../../actors/model/ids.ts';
import type { Intent } from '../../../actors/model/intent.ts';
import { Secret } from '../../../actors/model/secret.ts';
import type { DamagedObject, Inheritance, UnitBag } from '../../../actors/model/snapshot.ts';
import { BackplaneUnavailable } from '../../../actors/ports/backplane.ts';
import type { Clock } from '../../../actors/ports/clock.ts';
import type { Sealer } from '../../files/codec.ts';
import type { Log } from '../../files/log.ts';
import { SealKey, sealKeyOf } from '../../files/seal.ts';
import type { RelationRef } from '../environment.ts';
import { keyField, keyLabel } from '../fleet-key.ts';
import { ToolRefusal } from '../tool-refusal.ts';
import type { Bag, GoalState, JujuTools } from '../tools.ts';
import type { JujuFeatures } from '../version.ts';
import { ancestorIn, ancestorSecretLabel, authFileIn } from '../wire/taken-over.ts';
import { type BackendRelation, backendAsked, primarySeen, readBackend } from './backend.ts';
import { clientsAsked, type FoundClient, readClients } from './clients.ts';
import { inheritedBy } from './inherited.ts';
import { backendName, intentFrom } from './intent.ts';
import { configUnder, keptLimitAfter } from './kept-limit.ts';
import { nonceOf } from './lease.ts';
import { type Member, readShared, readUnit, type Shared, type UnitData } from './peer-data.ts';
import { type Provisional, provisionalOf } from './provisional.ts';
import { readAbroadAhead, readPeersAhead } from './read-ahead.ts';
import type { Occasion, Reading } from './reading.ts';

export interface UnitOptions {
  readonly tools: JujuTools;
  readonly unit: UnitName;
  /** UUID of the model. */
  readonly model: string;
  /** PgBouncers of this unit. */
  readonly instances: number;
  readonly features: Pick<JujuFeatures, 'secrets'>;
  readonly occasion: Occasion;
  readonly clock: Clock;
  readonly log: Log;
}

export const peerEndpoint = 'pgb-peers';

/** As this unit found things, and as they are with what it wrote since. */
export interface Desk {
  readonly peers: RelationRef;
  readonly sealer: Sealer;
  /** Made here: it has to be kept before anything sealed with it. */
  readonly newKey: Secret | null;
  readonly leads: boolean;
  /** This unit is about to go: it leaves all relations as they are. */
  readonly isDying: boolean;
  /** Nobody stays behind it: what the application made elsewhere is taken back now, or never. */
  readonly isLast: boolean;
  readonly ownBag: Bag;
  readonly then: Shared;
  /** Of a leader: the relations to others, as it found them. */
  readonly abroad: { readonly backend: BackendRelation | null; readonly clients: readonly FoundClient[] } | null;
  /** Of a leader that takes the place of another charm: what that one gave to clients of which there is no record yet. */
  readonly inherited: readonly Inheritance[];
  /** Of a follower in the same place: what it serves while no leader of ours has published anything. */
  readonly provisional: Provisional | null;
  readonly others: ReadonlyMap<UnitName, UnitData>;
  now: Shared;
  member: Member;
  bag: UnitBag | null;
  bagDamage: string | null;
}

export const findDesk = async (options: UnitOptions, reading: Reading): Promise<Desk> => {
  const { unit, model, tools, instances, occasion, features } = options;
  if (!features.secrets) throw new BackplaneUnavailable(withoutSecrets);
  const [peer] = await reading.of(peerEndpoint);
  if (peer === undefined) throw new BackplaneUnavailable(noPeers);
  const peers = peer.relation;
  // Its relations may break before it hears from its peers that it leaves: they are not over for who stays.
  const goal = occasion.broken === null ? null : await tools.goalState();
  const isDying =
    occasion.departing !== null || (await reading.state()).state.departing || goal?.units[unit]?.status === 'dying';
  if (!isDying && (await reading.knowsAll())) await readPeersAhead(reading, { unit, peers, keyLabel });
  const appBag = await reading.bag(peers, applicationOf(unit), 'application');
  const ownBag = await reading.bag(peers, unit, 'unit');
  if (appBag === null || ownBag === null) throw new BackplaneUnavailable(noPeers);
  const isLast = isDying && nobodyStays(unit, goal ?? (await tools.goalState()));
  const leads = isDying ? isLast : (await reading.knowsAll()) && (await reading.leads());
  const { then, sealer, newKey } = await unlock(options, reading, appBag, { leads, isDying });
  const others = await readOthers(reading, unit, peers);
  const own = readUnit(ownBag, plainSealer(unit));
  const isEntire = then.otherKey === null && lostOf(then) === null;
  if (isEntire && !isDying) await readAbroadAhead(reading, { unit, leads });
  const abroad =
    leads && isEntire && !isDying
      ? { backend: await readBackend(reading, unit), clients: await readClients(reading, unit) }
      : null;
  const ancestor = abroad === null ? null : ancestorIn(appBag);
  const desk: Desk = {
    peers,
    abroad,
    inherited: abroad === null ? [] : await inheritedBy(tools, ancestor, abroad.clients, then.records),
    provisional:
      leads || isDying || !isEntire || then.published !== null ? null : await findProvisional(options, reading, appBag),
    sealer,
    newKey,
    leads,
    isDying,
    isLast,
    ownBag,
    then,
    others,
    now: then,
    member: { nonce: nonceOf(model, unit), instances, down: false },
    bag: own.bag,
    bagDamage: own.damage,
  };
  // The first leader of ours in a fleet of the charm before.
  const succeeds = then.intent === null && ancestor !== null;
  if (abroad !== null) desk.now = await asAsked(options, reading, { desk, abroad, succeeds });
  if (isLast && then.intent !== null) desk.now = { ...then, intent: { ...then.intent, clients: {} } };
  return desk;
};

/** What the fleet shares, under its key; a leader who finds none makes one. */
const unlock = async (
  { unit }: UnitOptions,
  reading: Reading,
  appBag: Bag,
  { leads, isDying }: Pick<Desk, 'leads' | 'isDying'>,
): Promise<Pick<Desk, 'then' | 'sealer' | 'newKey'>> => {
  const kept = await keptKey(reading);
  const newKey = kept === null && leads && !isDying ? new Secret(randomBytes(32).toString('base64')) : null;
  const written = kept ?? newKey;
  const sealer = written === null ? null : sealerOf(unit, sealKeyOf(written, `the Juju secret "${keyLabel}"`));
  const then = readShared(appBag, newKey === null ? sealer : null);
  if (then.otherKey !== null && !leads && kept === null)
    throw new BackplaneUnavailable('the key of the fleet, a Juju secret of the leader, cannot be read here yet');
  return { then, sealer: sealer ?? plainSealer(unit), newKey };
};

const keptKey = async (reading: Reading): Promise<Secret | null> => {
  try {
    return (await reading.labelled(keyLabel))?.[keyField] ?? null;
  } catch (cause) {
    // The grant may come later than what is sealed with it.
    if (cause instanceof ToolRefusal && cause.kind === 'forbidden') return null;
    throw cause;
  }
};

/** Without one of these nobody can decide anything, and what would be made of its absence would be wrong. */
const essential: readonly string[] = ['troupe-lease', 'troupe-intent', 'troupe-fleet', 'troupe-verdict'];
export const lostOf = ({ damaged }: Shared): DamagedObject | null =>
  damaged.find(({ object }) => essential.includes(object)) ?? null;

/** The application is removed, or has no units any more. */
const nobodyStays = (unit: UnitName, { units }: GoalState): boolean =>
  Object.entries(units).every(([one, { status }]) => one === unit || status === 'dying');

const readOthers = async (
  reading: Reading,
  unit: UnitName,
  peers: RelationRef,
): Promise<ReadonlyMap<UnitName, UnitData>> => {
  const others = new Map<UnitName, UnitData>();
  for (const sibling of await reading.units(peers)) {
    const bag = await reading.bag(peers, sibling, 'unit');
    if (bag !== null) others.set(sibling as UnitName, readUnit(bag, plainSealer(unit)));
  }
  return others;
};

const findProvisional = async (
  { unit, tools, instances }: UnitOptions,
  reading: Reading,
  appBag: Bag,
): Promise<Provisional | null> => {
  const ancestor = ancestorIn(appBag);
  const primary = ancestor === null ? null : await primarySeen(reading);
  if (ancestor === null || primary === null) return null;
  return provisionalOf(tools, { unit, instances, ancestor, primary, config: await reading.config() });
};

/** What the fleet shares, with what options and relations ask for by now. */
const asAsked = async (
  options: UnitOptions,
  reading: Reading,
  {
    desk,
    abroad,
    succeeds,
  }: { readonly desk: Desk; readonly abroad: NonNullable<Desk['abroad']>; readonly succeeds: boolean },
): Promise<Shared> => {
  const { instances, occasion, clock } = options;
  const { then, others, inherited } = desk;
  const config = await reading.config();
  if (succeeds) await tellWhatStays(options, inherited.length);
  const keptLimit = keptLimitAfter(then.keptLimit, config, {
    succeeds,
    confirms: occasion.confirmsLimit,
    units: others.size + 1,
    instances,
  });
  const asking = {
    config: configUnder(keptLimit, config),
    backend: backendAsked(abroad.backend),
    clients: clientsAsked(abroad.clients),
  };
  const intent = intentFrom(then.intent, asking, { reason: occasion.hook, at: clock.wall() });
  return intent === then.intent
    ? { ...then, keptLimit }
    : { ...then, keptLimit, intent, records: recordsUnder(intent, then) };
};

/** What the charm before made for itself in PostgreSQL harms nobody, and it could not come back without. */
const tellWhatStays = async ({ tools, unit, log }: UnitOptions, clients: number): Promise<void> => {
  const content = await tools.secretGet({ label: ancestorSecretLabel(applicationOf(unit)) }, 'refresh');
  const logins =
    content === null ? [] : [...authFileIn(content).keys()].filter((name) => /^pgbouncer_auth_/.test(name));
  log.info(
    { clients, logins },
    'takes the place of the charm before: clients keep what they have; the logins named here, by which that one looked passwords up, stay in PostgreSQL with a schema of the same name in each database, so that the application can be refreshed back, and may be dropped when nobody wants that',
  );
};

/** What was made in a cluster that is no longer related is not there in the next one. */
const recordsUnder = (intent: Intent, { intent: before, records }: Shared): Shared['records'] =>
  before?.backends[backendName] === undefined || before.backends[backendName].id === intent.backends[backendName]?.id
    ? records
    : new Map([...records].map(([id, { adopted: _, ...record }]) => [id, { ...record, provisioned: false }]));

const sealerOf = (unit: UnitName, key: SealKey): Sealer => ({ key, application: applicationOf(unit) });
const anyKey = new SealKey(Buffer.alloc(32));
/** For what holds no secret. */
export const plainSealer = (unit: UnitName): Sealer => sealerOf(unit, anyKey);

const noPeers =
  'the peer relation is not there: Juju makes it right after the charm was installed, and it ends with the unit';
export const withoutSecrets =
  'this Juju has no secrets (they came with 3.0.3), and passwords are kept nowhere else: upgrade the controller and the model';
