/**
 * The backplane of a charm: what the units of an application share lies in the peer relation, what they ask for in options and
 * relations, what a unit keeps for itself in charm state. It lives for one dispatch. Everything is read once, when it is first
 * needed; everything written is collected, seen by later readings of the same dispatch, and handed to Juju by `flush`, which stores
 * it when the dispatch ends well, or drops all of it. So each write is answered `staged`.
 */
import { randomBytes } from 'node:crypto';
import type { FleetSpec, Published, Verdict } from '../../../actors/model/fleet-spec.ts';
import {
  applicationOf,
  type Epoch,
  type Generation,
  type Millis,
  type Nonce,
  type RelationId,
  type UnitName,
  unitNumberOf,
} from '../../../actors/model/ids.ts';
import type { Intent } from '../../../actors/model/intent.ts';
import type { Leadership } from '../../../actors/model/leadership.ts';
import { lack } from '../../../actors/model/wait-catalogue.ts';
import type { Finding } from '../../../actors/model/remark.ts';
import type { Lack } from '../../../actors/model/waits.ts';
import { same } from '../../../actors/model/same.ts';
import { Secret } from '../../../actors/model/secret.ts';
import type {
  DamagedObject,
  Inheritance,
  Memory,
  RelationRecord,
  Snapshot,
  UnitBag,
  UnitRecord,
} from '../../../actors/model/snapshot.ts';
import {
  type AcquireResult,
  type Backplane,
  BackplaneUnavailable,
  type Observation,
  type PublishResult,
  type Recalled,
  type RenewResult,
  type WriteResult,
} from '../../../actors/ports/backplane.ts';
import type { Clock } from '../../../actors/ports/clock.ts';
import { digestOfSpec } from '../../files/canonical.ts';
import type { Sealer } from '../../files/codec.ts';
import type { Log } from '../../files/log.ts';
import { SealKey, sealKeyOf } from '../../files/seal.ts';
import type { RelationRef } from '../environment.ts';
import { ToolRefusal } from '../tool-refusal.ts';
import type { Bag, JujuTools } from '../tools.ts';
import type { JujuFeatures } from '../version.ts';
import { type CharmState, stateChanges } from './charm-state.ts';
import { type BackendRelation, backendAsked, backendEndpoint, primarySeen, readBackend } from './backend.ts';
import {
  answerClients,
  answerOfUnit,
  clientEndpoints,
  clientsAsked,
  type FoundClient,
  readClients,
  removeLeftOver,
} from './clients.ts';
import { inheritedBy } from './inherited.ts';
import { backendName, intentFrom } from './intent.ts';
import { ancestorIn, ancestorSecretLabel, authFileIn } from '../wire/taken-over.ts';
import { configUnder, keptLimitAfter, remarkOf } from './kept-limit.ts';
import { endlessMs, leaseSeen, nextEpoch, nonceOf } from './lease.ts';
import {
  bagText,
  leftUnit,
  type Member,
  memberText,
  readShared,
  readUnit,
  type Shared,
  sharedChanges,
  type UnitData,
} from './peer-data.ts';
import { type Provisional, provisionalOf, provisionalRemark } from './provisional.ts';
import { readAbroadAhead, readPeersAhead } from './read-ahead.ts';
import { type Occasion, Reading, type Related } from './reading.ts';
import {
  readLogLocations,
  readTraceLocation,
  type Tale,
  type TalesTold,
  tellWatchers,
  toldBefore,
  type WatcherEndpoint,
  watcherEndpoints,
} from './watchers.ts';

export interface JujuBackplaneOptions {
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

const peerEndpoint = 'pgb-peers';
const certificatesEndpoint = 'certificates';
/** The secret of the application that holds the key under which everything secret lies in the peer relation. */
const keyLabel = 'troupe';
const keyField = 'seal-key';

/** Of charm state, what is kept for others than the actors. */
type Kept = Partial<Pick<CharmState, 'status' | 'service' | 'hasCertificate' | 'watchers'>>;

/** As this unit found things, and as they are with what it wrote since. */
interface Desk {
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

export class JujuBackplane implements Backplane {
  readonly unit: UnitName;
  readonly nonce: Nonce;
  readonly #options: JujuBackplaneOptions;
  readonly #reading: Reading;
  #desk: Promise<Desk> | null = null;
  #snapshot: Snapshot | null = null;
  #memory: Memory | null = null;
  #acquired: Epoch | null = null;
  #publishedHere: readonly Published[] = [];
  #hasJoined = false;
  #left = false;
  readonly #listeners = new Set<() => void>();

  constructor(options: JujuBackplaneOptions) {
    const { unit, model, tools, clock, occasion } = options;
    this.unit = unit;
    this.nonce = nonceOf(model, unit);
    this.#options = options;
    this.#reading = new Reading(tools, clock, occasion, [
      peerEndpoint,
      backendEndpoint,
      certificatesEndpoint,
      ...clientEndpoints,
      ...watcherEndpoints,
    ]);
  }

  async recall(): Promise<Recalled> {
    const { state, losses } = await this.#reading.state();
    const desk = await this.#deskIfAny();
    const published = desk?.then.published ?? null;
    const { verified, waits } = state.memory;
    const isSame =
      published !== null && verified?.generation === published.generation && verified.digest === published.digest;
    return {
      memory: { verified: isSame ? published : null, waits },
      intent: desk?.then.intent ?? null,
      published,
      epoch: Math.max(state.epoch, desk?.then.lease?.epoch ?? 0) as Epoch,
      losses,
    };
  }

  /**
   * What leadership here is known by. Who goes last acts under the one there was: it leads nobody any more, and leaves no fence that
   * units of a later time would find ahead of them.
   */
  async leaderNonce(): Promise<Nonce> {
    const desk = await this.#deskIfAny();
    const holder = desk?.isLast === true ? desk.then.lease?.holder : undefined;
    return holder === undefined ? this.nonce : nonceOf(this.#options.model, holder);
  }

  /** The relation to who signs certificates; null: there is none, or this unit is about to go. */
  async certificates(): Promise<Related | null> {
    const desk = await this.#deskIfAny();
    const [related] = await this.#reading.of(certificatesEndpoint);
    return desk === null || desk.isDying || related === undefined ? null : related;
  }

  /** Where logs of this unit are to go; null: as it is, because this unit is about to go, or has no peers yet. */
  async logLocations(): Promise<readonly string[] | null> {
    const desk = await this.#deskIfAny();
    return desk === null || desk.isDying ? null : readLogLocations(this.#reading, this.#options.occasion);
  }

  /** Where traces of dispatches go; null: nowhere. */
  traceLocation(): Promise<string | null> {
    return readTraceLocation(this.#reading, this.#options.occasion);
  }

  /** Whether somebody is related there; null: leave all as it is, as above. */
  async isWatched(endpoint: WatcherEndpoint): Promise<boolean | null> {
    const desk = await this.#deskIfAny();
    return desk === null || desk.isDying ? null : (await this.#reading.of(endpoint)).length > 0;
  }

  /** Writes what is to stand in our bags of these relations; what to remember of it. A unit that is about to go leaves them as they are. */
  async tell(endpoint: WatcherEndpoint, make: () => Promise<Tale | null>): Promise<TalesTold> {
    const desk = await this.#deskIfAny();
    return desk === null || desk.isDying
      ? toldBefore(this.#reading, endpoint)
      : tellWatchers(this.#options.tools, this.#reading, this.#options.occasion, endpoint, make);
  }

  /** How many PgBouncers every unit has. */
  async instancesOfEach(): Promise<number> {
    const desk = await this.#deskIfAny();
    const others = [...(desk?.others.values() ?? [])].flatMap(({ member }) => member?.instances ?? []);
    return Math.min(this.#options.instances, ...others);
  }

  /** As this unit left it. */
  async lastState(): Promise<CharmState> {
    return (await this.#reading.state()).state;
  }

  /** All options of the application, when it is this unit that acts for it. */
  async optionsToHeed(): Promise<Readonly<Record<string, string | number | boolean>> | null> {
    const desk = await this.#deskIfAny();
    return desk === null || desk.abroad === null ? null : this.#reading.config();
  }

  /** Where units say that clients reach them, as `host:port`. */
  async addressesTold(): Promise<readonly string[]> {
    const desk = await this.#deskIfAny();
    const bags = desk === null ? [] : [desk.bag, ...[...desk.others.values()].map(({ bag }) => bag)];
    return bags.flatMap((bag) => (bag === null || bag.address === '' ? [] : [bag.address]));
  }

  /** What is lacking of relations and can be told before anybody has decided anything. */
  async lacks(): Promise<readonly Lack[]> {
    const desk = await this.#deskIfAny();
    if (desk === null || desk.isDying || desk.then.otherKey !== null) return [];
    const isRelated = (await this.#reading.of(backendEndpoint)).length > 0;
    if (!isRelated) return [lack.backendMissing({ application: applicationOf(this.unit) })];
    const { backend, clients } = desk.abroad ?? { backend: null, clients: [] };
    const refusals = clients.flatMap(({ remoteApplication: name, asked }) =>
      asked.refusals.map(({ reason }) => lack.clientRequest({ name, reason })),
    );
    if (backend === null)
      return desk.now.intent?.backends[backendName] === undefined && desk.provisional === null
        ? [lack.backendUnanswered({ reason: 'the leader has not heard from it' })]
        : [];
    if (backend.reading.kind === 'waiting') return [lack.backendUnanswered(backend.reading), ...refusals];
    if (backend.reading.kind === 'refused') return [lack.backendOffer(backend.reading), ...refusals];
    return refusals;
  }

  /** What the operator should know though everything is served; from who leads. */
  async remarks(): Promise<readonly Finding[]> {
    const desk = await this.#deskIfAny();
    if (desk === null) return [];
    const { abroad, provisional, now } = desk;
    return [
      ...(abroad === null || now.keptLimit === null ? [] : [remarkOf(now.keptLimit)]),
      ...(provisional === null ? [] : [provisionalRemark(provisional)]),
    ];
  }

  /** What becomes of the operator's word that the limit of connections is for the whole fleet. */
  async limitConfirmed(): Promise<'confirmed' | 'nothing' | 'notLeader'> {
    if ((await this.optionsToHeed()) === null) return 'notLeader';
    return (await this.#deskIfAny())?.then.keptLimit === null ? 'nothing' : 'confirmed';
  }

  async remember(memory: Memory): Promise<void> {
    this.#memory = memory;
  }

  async observe(): Promise<Observation> {
    if (this.#left) return { kind: 'refused', reason: `${this.unit} has left the fleet` };
    if (!this.#options.features.secrets) return { kind: 'refused', reason: withoutSecrets };
    const desk = await this.#open();
    if (desk.then.otherKey !== null) return { kind: 'refused', reason: keyIsGone };
    const [lost] = desk.then.damaged.filter(({ object }) => essential.includes(object));
    if (lost !== undefined) return { kind: 'refused', reason: damagedSentence(lost) };
    this.#hasJoined = true;
    this.#snapshot ??= snapshotOf(desk, this.unit, this.nonce);
    return { kind: 'observed', snapshot: this.#snapshot };
  }

  async acquireLease(_ttl: Millis): Promise<AcquireResult> {
    const desk = await this.#open();
    const { lease } = desk.now;
    if (!this.#hasJoined || !(await this.#isLeader(desk)))
      return { kind: 'held', by: lease?.holder ?? this.unit, freeInMs: endlessMs };
    if (this.#acquired === null) {
      const isOurs =
        lease !== null && (desk.isLast || (lease.holder === this.unit && !this.#options.occasion.leaderElected));
      const { state } = await this.#reading.state();
      this.#acquired = isOurs ? lease.epoch : nextEpoch(lease, state.epoch, this.#options.clock.wall());
      if (!isOurs) this.#change(desk, { lease: { holder: this.unit, epoch: this.#acquired } });
    }
    return { kind: 'granted', epoch: this.#acquired };
  }

  async renewLease(leadership: Leadership, _ttl: Millis): Promise<RenewResult> {
    return { kind: (await this.#mayLead(leadership)) === null ? 'lost' : 'renewed' };
  }

  /** Juju hands leadership on by itself. */
  async releaseLease(): Promise<void> {}

  async changeIntent(_next: Intent): Promise<WriteResult> {
    throw new BackplaneUnavailable(
      'cannot change what the operator asks for: options and relations belong to Juju, use juju config and juju integrate',
    );
  }

  async publish(
    leadership: Leadership,
    after: Generation,
    spec: FleetSpec,
    { intentVersion, reason }: { readonly intentVersion: number; readonly reason: string },
  ): Promise<PublishResult> {
    const desk = await this.#mayLead(leadership);
    if (desk === null) return { kind: 'fenced' };
    const digest = digestOfSpec(spec);
    const again = this.#publishedHere.find((one) => one.generation === after + 1 && one.digest === digest);
    if (again !== undefined) return { kind: 'staged', published: again };
    if ((desk.now.published?.generation ?? 0) !== after) return { kind: 'conflict' };
    const published: Published = {
      generation: (after + 1) as Generation,
      epoch: leadership.epoch,
      digest,
      author: this.unit,
      reason,
      at: this.#options.clock.wall(),
      intentVersion,
      spec,
    };
    this.#publishedHere = [...this.#publishedHere, published];
    this.#change(desk, { published });
    return { kind: 'staged', published };
  }

  judge(leadership: Leadership, verdict: Verdict): Promise<WriteResult> {
    return this.#write(leadership, (desk) => (same(desk.now.verdict, verdict) ? null : { verdict }));
  }

  writeRelation(leadership: Leadership, record: RelationRecord): Promise<WriteResult> {
    return this.#write(leadership, ({ now: { records } }) =>
      same(records.get(record.id), record) ? null : { records: new Map(records).set(record.id, record) },
    );
  }

  removeRelation(leadership: Leadership, id: RelationId): Promise<WriteResult> {
    return this.#write(leadership, ({ now: { records } }) =>
      records.has(id) ? { records: new Map([...records].filter(([one]) => one !== id)) } : null,
    );
  }

  /** Units come and go by Juju: one that it still shows is not taken off. */
  async removeUnit(leadership: Leadership, unit: UnitName): Promise<WriteResult> {
    const desk = await this.#mayLead(leadership);
    if (desk === null) return { kind: 'fenced' };
    return { kind: desk.others.has(unit) ? 'conflict' : 'staged' };
  }

  async writeBag(bag: UnitBag): Promise<WriteResult> {
    if (!this.#hasJoined || this.#left) return { kind: 'conflict' };
    const desk = await this.#open();
    if (desk.bagDamage === null && same(desk.bag, bag)) return { kind: 'staged' };
    desk.bag = bag;
    desk.bagDamage = null;
    this.#changed();
    return { kind: 'staged' };
  }

  async leave(how: 'down' | 'departed'): Promise<void> {
    this.#left = how === 'departed';
    const desk = await this.#deskIfAny();
    if (desk === null) return;
    desk.member = { ...desk.member, down: true };
    this.#changed();
  }

  onHint(hint: () => void): Disposable {
    this.#listeners.add(hint);
    return { [Symbol.dispose]: () => this.#listeners.delete(hint) };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /**
   * Hands Juju everything that differs: what the whole fleet shares only while this unit leads, and of that the key first. Nothing
   * of it is stored before the dispatch has ended well.
   */
  async flush(state: Kept = {}): Promise<void> {
    const { tools } = this.#options;
    const desk = await this.#deskIfAny();
    if (desk !== null && desk.then.otherKey === null) {
      await this.#flushShared(desk);
      await tools.writeBag(desk.peers, 'unit', this.#unitChanges(desk));
      if (!desk.isDying) await answerOfUnit(tools, this.#reading, this.unit, desk.now.records);
    }
    await this.#flushState(desk, state);
  }

  async #flushShared(desk: Desk): Promise<void> {
    const { tools, log } = this.#options;
    if (desk.abroad === null) return;
    try {
      if (!(await this.#reading.leads())) throw notLeaderAnyMore;
      await this.#flushAbroad(desk, desk.abroad);
      const changes = sharedChanges(desk.then, desk.now, desk.sealer);
      if (Object.keys(changes).length === 0) return;
      if (desk.newKey !== null)
        await tools.secretAdd({ owner: 'application', label: keyLabel, content: { [keyField]: desk.newKey } });
      await tools.writeBag(desk.peers, 'application', changes);
    } catch (cause) {
      if (cause !== notLeaderAnyMore && !(cause instanceof ToolRefusal && cause.kind === 'notLeader')) throw cause;
      log.warn({ unit: this.unit }, 'leadership was lost during this hook: what was decided under it is dropped');
    }
  }

  async #flushAbroad(desk: Desk, { backend, clients }: NonNullable<Desk['abroad']>): Promise<void> {
    const { tools, unit, occasion } = this.#options;
    if (backend !== null) await tools.writeBag(backend.relation, 'application', backend.request);
    const answered = await answerClients(tools, desk.sealer, clients, desk.now);
    const { broken } = occasion;
    const isClient = broken !== null && clientEndpoints.some((endpoint) => endpoint === broken.endpoint);
    const ours = isClient ? await this.#reading.bag(broken, applicationOf(unit), 'application') : null;
    const relation = ours === null || broken === null ? null : { relation: broken, ours };
    const secrets = await removeLeftOver(tools, clients, { secrets: answered }, relation);
    if (secrets !== desk.now.secrets) desk.now = { ...desk.now, secrets };
  }

  #unitChanges({ ownBag, member, bag, bagDamage }: Desk): Bag {
    if (this.#left) return changed(ownBag, leftUnit);
    const told = readUnit(ownBag, sealerOf(this.unit, anyKey));
    return {
      ...changed(ownBag, memberText(member)),
      ...(bag === null || (bagDamage === null && same(told.bag, bag)) ? {} : bagText(bag, sealerOf(this.unit, anyKey))),
    };
  }

  async #flushState(desk: Desk | null, change: Kept): Promise<void> {
    const { stored, state } = await this.#reading.state();
    const { verified, waits } = this.#memory ?? {};
    const next: CharmState = {
      ...state,
      ...change,
      memory:
        this.#memory === null
          ? state.memory
          : {
              waits: waits ?? [],
              verified:
                verified === null || verified === undefined
                  ? null
                  : { generation: verified.generation, epoch: verified.epoch, digest: verified.digest },
            },
      relations: await this.#reading.relations(),
      members: await this.#reading.members(),
      knowsAll: await this.#reading.knowsAll(),
      departing: state.departing || this.#options.occasion.departing !== null,
      epoch: Math.max(state.epoch, desk?.now.lease?.epoch ?? 0),
    };
    const changes = stateChanges(stored, next);
    if (Object.keys(changes).length > 0) await this.#options.tools.stateSet(changes);
  }

  #open(): Promise<Desk> {
    this.#desk ??= this.#load();
    return this.#desk;
  }

  /** Null where there is no peer relation (yet, or any more). */
  async #deskIfAny(): Promise<Desk | null> {
    try {
      return await this.#open();
    } catch (cause) {
      if (!(cause instanceof BackplaneUnavailable)) throw cause;
      return null;
    }
  }

  async #load(): Promise<Desk> {
    const { unit, tools, instances, occasion, clock, features } = this.#options;
    if (!features.secrets) throw new BackplaneUnavailable(withoutSecrets);
    const [peer] = await this.#reading.of(peerEndpoint);
    if (peer === undefined) throw new BackplaneUnavailable(noPeers);
    const peers = peer.relation;
    const application = applicationOf(unit);
    const isDying = occasion.departing !== null || (await this.#reading.state()).state.departing;
    if (!isDying && (await this.#reading.knowsAll())) await readPeersAhead(this.#reading, { unit, peers, keyLabel });
    const appBag = await this.#reading.bag(peers, application, 'application');
    const ownBag = await this.#reading.bag(peers, unit, 'unit');
    if (appBag === null || ownBag === null) throw new BackplaneUnavailable(noPeers);
    const isLast = isDying && (await this.#isLast());
    const leads = isDying ? isLast : (await this.#reading.knowsAll()) && (await this.#reading.leads());
    const kept = await this.#key();
    const newKey = kept === null && leads && !isDying ? new Secret(randomBytes(32).toString('base64')) : null;
    const written = kept ?? newKey;
    const key = written === null ? null : sealKeyOf(written, `the Juju secret "${keyLabel}"`);
    const then = readShared(appBag, key === null || newKey !== null ? null : sealerOf(unit, key));
    if (then.otherKey !== null && !leads && kept === null)
      throw new BackplaneUnavailable('the key of the fleet, a Juju secret of the leader, cannot be read here yet');
    const others = new Map<UnitName, UnitData>();
    for (const sibling of await this.#reading.units(peers)) {
      const bag = await this.#reading.bag(peers, sibling, 'unit');
      if (bag !== null) others.set(sibling as UnitName, readUnit(bag, sealerOf(unit, anyKey)));
    }
    const own = readUnit(ownBag, sealerOf(unit, anyKey));
    const isEntire = then.otherKey === null && !then.damaged.some(({ object }) => essential.includes(object));
    if (isEntire && !isDying) await readAbroadAhead(this.#reading, { unit, leads });
    const abroad =
      leads && isEntire && !isDying
        ? { backend: await readBackend(this.#reading, unit), clients: await readClients(this.#reading, unit) }
        : null;
    const ancestor = abroad === null ? null : ancestorIn(appBag);
    const desk: Desk = {
      peers,
      abroad,
      inherited: abroad === null ? [] : await inheritedBy(tools, ancestor, abroad.clients, then.records),
      provisional: leads || isDying || !isEntire || then.published !== null ? null : await this.#provisional(appBag),
      sealer: sealerOf(unit, key ?? anyKey),
      newKey,
      leads,
      isDying,
      isLast,
      ownBag,
      then,
      others,
      now: then,
      member: { nonce: this.nonce, instances, down: false },
      bag: own.bag,
      bagDamage: own.damage,
    };
    if (abroad !== null) {
      const config = await this.#reading.config();
      // The first leader of ours in a fleet of the charm before.
      const succeeds = then.intent === null && ancestor !== null;
      if (succeeds) await this.#tellWhatStays(desk.inherited.length);
      const keptLimit = keptLimitAfter(then.keptLimit, config, {
        succeeds,
        confirms: occasion.confirmsLimit,
        units: others.size + 1,
        instances,
      });
      desk.now = { ...then, keptLimit };
      const asking = {
        config: configUnder(keptLimit, config),
        backend: backendAsked(abroad.backend),
        clients: clientsAsked(abroad.clients),
      };
      const intent = intentFrom(then.intent, asking, { reason: occasion.hook, at: clock.wall() });
      if (intent !== then.intent) desk.now = { ...desk.now, intent, records: recordsUnder(intent, then) };
    }
    if (isLast && then.intent !== null) desk.now = { ...then, intent: { ...then.intent, clients: {} } };
    return desk;
  }

  async #provisional(appBag: Bag): Promise<Provisional | null> {
    const { unit, tools, instances } = this.#options;
    const ancestor = ancestorIn(appBag);
    const primary = ancestor === null ? null : await primarySeen(this.#reading);
    if (ancestor === null || primary === null) return null;
    return provisionalOf(tools, { unit, instances, ancestor, primary, config: await this.#reading.config() });
  }

  /** What the charm before made for itself in PostgreSQL harms nobody, and it could not come back without. */
  async #tellWhatStays(clients: number): Promise<void> {
    const { tools, unit, log } = this.#options;
    const content = await tools.secretGet({ label: ancestorSecretLabel(applicationOf(unit)) }, 'refresh');
    const logins =
      content === null ? [] : [...authFileIn(content).keys()].filter((name) => /^pgbouncer_auth_/.test(name));
    log.info(
      { clients, logins },
      'takes the place of the charm before: clients keep what they have; the logins named here, by which that one looked passwords up, stay in PostgreSQL with a schema of the same name in each database, so that the application can be refreshed back, and may be dropped when nobody wants that',
    );
  }

  /** The application is removed, or has no units any more. */
  async #isLast(): Promise<boolean> {
    const { units } = await this.#options.tools.goalState();
    return Object.entries(units).every(([unit, { status }]) => unit === this.unit || status === 'dying');
  }

  async #key(): Promise<Secret | null> {
    try {
      return (await this.#reading.labelled(keyLabel))?.[keyField] ?? null;
    } catch (cause) {
      // The grant may come later than what is sealed with it.
      if (cause instanceof ToolRefusal && cause.kind === 'forbidden') return null;
      throw cause;
    }
  }

  /** The desk, when this leadership is ours and Juju has not taken it back. */
  async #mayLead({ epoch, nonce }: Leadership): Promise<Desk | null> {
    const desk = await this.#open();
    const isOurs = epoch === this.#acquired && nonce === (await this.leaderNonce());
    return isOurs && (await this.#isLeader(desk)) ? desk : null;
  }

  async #isLeader({ leads, isLast }: Desk): Promise<boolean> {
    return leads && (isLast || (await this.#reading.leads()));
  }

  async #write(leadership: Leadership, changeOf: (desk: Desk) => Partial<Shared> | null): Promise<WriteResult> {
    const desk = await this.#mayLead(leadership);
    if (desk === null) return { kind: 'fenced' };
    const change = changeOf(desk);
    if (change !== null) this.#change(desk, change);
    return { kind: 'staged' };
  }

  #change(desk: Desk, change: Partial<Shared>): void {
    desk.now = { ...desk.now, ...change };
    this.#changed();
  }

  #changed(): void {
    this.#snapshot = null;
    for (const listener of this.#listeners) queueMicrotask(() => this.#listeners.has(listener) && listener());
  }
}

const snapshotOf = (desk: Desk, self: UnitName, nonce: Nonce): Snapshot => {
  const { now, others, member, bag } = desk;
  const own: UnitRecord = {
    unit: self,
    instances: member.instances,
    nonce,
    silentMs: 0,
    presence: member.down ? 'down' : 'live',
    bag,
  };
  const units = [
    own,
    ...[...others].flatMap(([unit, data]): readonly UnitRecord[] =>
      data.member === null
        ? [] // It has not run yet, or is still the ancestor's.
        : [
            {
              unit,
              instances: data.member.instances,
              nonce: data.member.nonce,
              silentMs: 0,
              presence: data.member.down ? 'down' : 'live',
              bag: data.bag,
            },
          ],
    ),
  ].toSorted((a, b) => unitNumberOf(a.unit) - unitNumberOf(b.unit));
  const damagedBags = [
    [self, desk.bagDamage] as const,
    ...[...others].map(([unit, { damage }]) => [unit, damage] as const),
  ];
  return {
    lease: leaseSeen(
      now.lease,
      { unit: self, nonce, leads: desk.leads },
      new Map(units.map((one) => [one.unit, one.nonce])),
    ),
    intent: now.intent,
    published: now.published ?? desk.provisional?.published ?? null,
    verdict: now.verdict,
    units,
    relations: [...now.records.values()].toSorted((a, b) => a.id - b.id),
    inherited: desk.inherited.filter(({ id }) => !now.records.has(id)),
    damaged: [
      ...now.damaged,
      ...damagedBags.flatMap(([unit, reason]): readonly DamagedObject[] =>
        reason === null ? [] : [{ object: `unit:${unit}`, relation: null, unit, reason }],
      ),
    ],
  };
};

/** What was made in a cluster that is no longer related is not there in the next one. */
const recordsUnder = (intent: Intent, { intent: before, records }: Shared): Shared['records'] =>
  before?.backends[backendName] === undefined || before.backends[backendName].id === intent.backends[backendName]?.id
    ? records
    : new Map([...records].map(([id, { adopted: _, ...record }]) => [id, { ...record, provisioned: false }]));

const changed = (before: Bag, wanted: Bag): Bag =>
  Object.fromEntries(Object.entries(wanted).filter(([key, value]) => (before[key] ?? '') !== value));

const sealerOf = (unit: UnitName, key: SealKey): Sealer => ({ key, application: applicationOf(unit) });
/** For what holds no secret. */
const anyKey = new SealKey(Buffer.alloc(32));

/** Without one of these nobody can decide anything, and what would be made of its absence would be wrong. */
const essential: readonly string[] = ['troupe-lease', 'troupe-intent', 'troupe-fleet', 'troupe-verdict'];
const damagedSentence = ({ object, reason }: DamagedObject): string =>
  `the key ${object} of the peer relation cannot be read (${reason}): somebody else than this charm has written it; remove the application and deploy it anew, or restore the model from a backup`;

const notLeaderAnyMore = new Error('not the leader any more');
const noPeers =
  'the peer relation is not there: Juju makes it right after the charm was installed, and it ends with the unit';
const withoutSecrets =
  'this Juju has no secrets (they came with 3.0.3), and passwords are kept nowhere else: upgrade the controller and the model';
const keyIsGone = `the Juju secret "${keyLabel}" of this application was removed or replaced, and what the fleet shares is sealed with it: without the one that was, remove the application and deploy it anew`;
