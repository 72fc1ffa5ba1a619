/**
 * Relations to those who watch over this application. Juju tells of each change of a bag by a hook of that relation: what a bag said
 * is kept in charm state, and read again when a hook is about it; so is what was written, and written again when it is another. So no
 * other hook pays for being watched.
 */
import { createHash } from 'node:crypto';
import type { Finding } from '../../../actors/model/remark.ts';
import { ToolRefusal } from '../tool-refusal.ts';
import type { Bag, JujuTools } from '../tools.ts';
import { logLocationIn } from '../wire/loki-push-api.ts';
import { traceLocationIn } from '../wire/tracing.ts';
import type { Occasion, Reading } from './reading.ts';

export const watcherEndpoints = ['logging', 'metrics-endpoint', 'grafana-dashboard', 'tracing'] as const;
export type WatcherEndpoint = (typeof watcherEndpoints)[number];

/** What the operator should know while metrics were asked for and could not be had when this unit looked last. */
export const exporterRemark: Finding = {
  id: 'no-exporter',
  message:
    'metrics are not offered: the image has no pgbouncer_exporter on its path; run the charm with one that has, 0.12 or newer',
};

/** Where logs go: URLs, each once, in the order of the units of Loki. */
export const readLogLocations = async (reading: Reading, occasion: Occasion): Promise<readonly string[]> => {
  if (!isAbout(occasion, 'logging')) return (await reading.state()).state.watchers.logs;
  const locations = new Set<string>();
  for (const { relation } of await reading.of('logging')) {
    for (const unit of await reading.units(relation)) {
      const bag = await reading.bag(relation, unit, 'unit');
      const location = bag === null ? null : logLocationIn(bag);
      if (location !== null) locations.add(location);
    }
  }
  return [...locations];
};

/** Where traces go; null: nobody tells. */
export const readTraceLocation = async (reading: Reading, occasion: Occasion): Promise<string | null> => {
  if (!isAbout(occasion, 'tracing')) return (await reading.state()).state.watchers.traces;
  const [related] = await reading.of('tracing');
  if (related === undefined) return null;
  const bag = await reading.bag(related.relation, related.remoteApplication, 'application');
  return bag === null ? null : traceLocationIn(bag);
};

const isAbout = ({ relationsAnew, about, broken }: Occasion, endpoint: WatcherEndpoint): boolean =>
  relationsAnew || (about?.relation ?? broken)?.endpoint === endpoint;

/** What is to stand in our bags of all relations of an endpoint. An empty text removes a key. Null: what stands there. */
export interface Tale {
  /** Told by the leader. */
  readonly application: Bag;
  readonly unit?: Bag;
}

/** By endpoint, relation and scope: names what was told there. */
export type TalesTold = Readonly<Record<string, string>>;

/** Writes what differs from what this unit told before; what it has told now. Where nobody is related nothing is made up. */
export const tellWatchers = async (
  tools: JujuTools,
  reading: Reading,
  { leaderElected }: Occasion,
  endpoint: WatcherEndpoint,
  make: () => Promise<Tale | null>,
): Promise<TalesTold> => {
  const before = await toldBefore(reading, endpoint);
  const related = await reading.of(endpoint);
  if (related.length === 0) return {};
  const tale = await make();
  if (tale === null) return before;
  const now: Record<string, string> = {};
  const leads = await reading.leads();
  for (const { relation } of related) {
    const bags = [...(leads ? ['application' as const] : []), ...(tale.unit === undefined ? [] : ['unit' as const])];
    for (const scope of bags) {
      const bag = tale[scope] ?? {};
      const [key, name] = [`${endpoint}:${relation.id} ${scope}`, nameOf(bag)];
      // Another leader may have told otherwise meanwhile.
      const isTold = before[key] === name && !(scope === 'application' && leaderElected);
      if (isTold || (await isWritten(tools.writeBag(relation, scope, bag)))) now[key] = name;
    }
  }
  return now;
};

export const toldBefore = async (reading: Reading, endpoint: WatcherEndpoint): Promise<TalesTold> => {
  const { told } = (await reading.state()).state.watchers;
  return Object.fromEntries(Object.entries(told).filter(([key]) => key.startsWith(`${endpoint}:`)));
};

const isWritten = async (writing: Promise<void>): Promise<boolean> => {
  try {
    await writing;
    return true;
  } catch (cause) {
    if (cause instanceof ToolRefusal && (cause.kind === 'notLeader' || cause.kind === 'relationGone')) return false;
    throw cause;
  }
};

const nameOf = (bag: Bag): string => createHash('sha256').update(JSON.stringify(bag)).digest('hex').slice(0, 16);
