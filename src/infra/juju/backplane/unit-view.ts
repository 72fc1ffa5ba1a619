/**
 * What a unit sees of its model in one dispatch. Who is no actor asks it: about options and relations, and what of them is lacking or
 * to be told before anybody has decided anything.
 */
import { applicationOf, type Nonce } from '../../../actors/model/ids.ts';
import type { Finding } from '../../../actors/model/remark.ts';
import { lack } from '../../../actors/model/wait-catalogue.ts';
import type { Lack } from '../../../actors/model/waits.ts';
import { BackplaneUnavailable } from '../../../actors/ports/backplane.ts';
import { backendEndpoint } from './backend.ts';
import type { CharmState } from './charm-state.ts';
import { clientEndpoints } from './clients.ts';
import { type Desk, findDesk, peerEndpoint, type UnitOptions } from './desk.ts';
import { backendName } from './intent.ts';
import { remarkOf } from './kept-limit.ts';
import { nonceOf } from './lease.ts';
import { provisionalRemark } from './provisional.ts';
import { Reading, type Related } from './reading.ts';
import {
  exporterRemark,
  readLogLocations,
  readTraceLocation,
  type Tale,
  type TalesTold,
  tellWatchers,
  toldBefore,
  type WatcherEndpoint,
  watcherEndpoints,
} from './watchers.ts';

const certificatesEndpoint = 'certificates';

export class UnitView {
  readonly options: UnitOptions;
  readonly reading: Reading;
  readonly nonce: Nonce;
  #desk: Promise<Desk> | null = null;

  constructor(options: UnitOptions) {
    const { tools, clock, occasion, model, unit } = options;
    this.options = options;
    this.nonce = nonceOf(model, unit);
    this.reading = new Reading(tools, clock, occasion, [
      peerEndpoint,
      backendEndpoint,
      certificatesEndpoint,
      ...clientEndpoints,
      ...watcherEndpoints,
    ]);
  }

  /** Found when it is first asked for, and the same from then on. */
  desk(): Promise<Desk> {
    this.#desk ??= findDesk(this.options, this.reading);
    return this.#desk;
  }

  /** Null where there is no peer relation (yet, or any more). */
  async deskIfAny(): Promise<Desk | null> {
    try {
      return await this.desk();
    } catch (cause) {
      if (!(cause instanceof BackplaneUnavailable)) throw cause;
      return null;
    }
  }

  /**
   * What leadership here is known by. Who goes last acts under the one there was: it leads nobody any more, and leaves no fence that
   * units of a later time would find ahead of them.
   */
  async leaderNonce(): Promise<Nonce> {
    const desk = await this.deskIfAny();
    const holder = desk?.isLast === true ? desk.then.lease?.holder : undefined;
    return holder === undefined ? this.nonce : nonceOf(this.options.model, holder);
  }

  /** The relation to who signs certificates; null: there is none, or this unit is about to go. */
  async certificates(): Promise<Related | null> {
    const desk = await this.deskIfAny();
    const [related] = await this.reading.of(certificatesEndpoint);
    return desk === null || desk.isDying || related === undefined ? null : related;
  }

  /** Where logs of this unit are to go; null: as it is, because this unit is about to go, or has no peers yet. */
  async logLocations(): Promise<readonly string[] | null> {
    const desk = await this.deskIfAny();
    return desk === null || desk.isDying ? null : readLogLocations(this.reading, this.options.occasion);
  }

  /** Where traces of dispatches go; null: nowhere. */
  traceLocation(): Promise<string | null> {
    return readTraceLocation(this.reading, this.options.occasion);
  }

  /** Whether somebody is related there; null: leave all as it is, as above. */
  async isWatched(endpoint: WatcherEndpoint): Promise<boolean | null> {
    const desk = await this.deskIfAny();
    return desk === null || desk.isDying ? null : (await this.reading.of(endpoint)).length > 0;
  }

  /** Writes what is to stand in our bags of these relations; what to remember of it. A unit that is about to go leaves them as they are. */
  async tell(endpoint: WatcherEndpoint, make: () => Promise<Tale | null>): Promise<TalesTold> {
    const desk = await this.deskIfAny();
    return desk === null || desk.isDying
      ? toldBefore(this.reading, endpoint)
      : tellWatchers(this.options.tools, this.reading, this.options.occasion, endpoint, make);
  }

  /** How many PgBouncers every unit has. */
  async instancesOfEach(): Promise<number> {
    const desk = await this.deskIfAny();
    const others = [...(desk?.others.values() ?? [])].flatMap(({ member }) => member?.instances ?? []);
    return Math.min(this.options.instances, ...others);
  }

  /** As this unit left it. */
  async lastState(): Promise<CharmState> {
    return (await this.reading.state()).state;
  }

  /** All options of the application, when it is this unit that acts for it. */
  async optionsToHeed(): Promise<Readonly<Record<string, string | number | boolean>> | null> {
    const desk = await this.deskIfAny();
    return desk === null || desk.abroad === null ? null : this.reading.config();
  }

  /** Where units say that clients reach them, as `host:port`. */
  async addressesTold(): Promise<readonly string[]> {
    const desk = await this.deskIfAny();
    const bags = desk === null ? [] : [desk.bag, ...[...desk.others.values()].map(({ bag }) => bag)];
    return bags.flatMap((bag) => (bag === null || bag.address === '' ? [] : [bag.address]));
  }

  /** What is lacking of relations and can be told before anybody has decided anything. */
  async lacks(): Promise<readonly Lack[]> {
    const desk = await this.deskIfAny();
    if (desk === null || desk.isDying || desk.then.otherKey !== null) return [];
    const isRelated = (await this.reading.of(backendEndpoint)).length > 0;
    if (!isRelated) return [lack.backendMissing({ application: applicationOf(this.options.unit) })];
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

  /** What the operator should know though everything is served. */
  async remarks(): Promise<readonly Finding[]> {
    const desk = await this.deskIfAny();
    if (desk === null) return [];
    const { abroad, provisional, now } = desk;
    const { exporters } = (await this.lastState()).watchers;
    return [
      ...(abroad === null || now.keptLimit === null ? [] : [remarkOf(now.keptLimit)]),
      ...(provisional === null ? [] : [provisionalRemark(provisional)]),
      ...(exporters === 'missing' ? [exporterRemark] : []),
    ];
  }

  /** What becomes of the operator's word that the limit of connections is for the whole fleet. */
  async limitConfirmed(): Promise<'confirmed' | 'nothing' | 'notLeader'> {
    if ((await this.optionsToHeed()) === null) return 'notLeader';
    return (await this.deskIfAny())?.then.keptLimit === null ? 'nothing' : 'confirmed';
  }
}
