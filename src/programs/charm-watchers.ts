/**
 * What a dispatch does for those who watch over the application. None of it is worth a failed hook: what does not work is said in the
 * log, and tried again by the next one.
 */
import { networkInterfaces } from 'node:os';
import { same } from '../actors/model/same.ts';
import type { WatchersState } from '../infra/juju/backplane/charm-state.ts';
import type { UnitView } from '../infra/juju/backplane/unit-view.ts';
import { exporterRemark, type Tale } from '../infra/juju/backplane/watchers.ts';
import { type Dispatched, podNameOf } from '../infra/juju/environment.ts';
import type { Log } from '../infra/files/log.ts';
import { featuresOf } from '../infra/juju/version.ts';
import { dashboardBag } from '../infra/juju/wire/grafana-dashboard.ts';
import { logLabels } from '../infra/juju/wire/loki-push-api.ts';
import { nothingScraped, scrapeBag, scrapedUnitBag } from '../infra/juju/wire/prometheus-scrape.ts';
import { tracingRequest } from '../infra/juju/wire/tracing.ts';
import type { Topology } from '../infra/juju/wire/topology.ts';
import type { Telemetry } from '../infra/pebble/telemetry.ts';

export interface WatchedParts {
  readonly dispatched: Dispatched;
  readonly telemetry?: Telemetry;
  readonly log: Log;
}

/** What is to be remembered of it. */
export const serveWatchers = async (parts: WatchedParts, view: UnitView): Promise<WatchersState> => {
  const { watchers: before } = await view.lastState();
  const { telemetry } = parts;
  if (telemetry === undefined) return before;
  const watched = { ...parts, telemetry, view, before };
  const logs = await sendLogs(watched);
  const metrics = await giveMetrics(watched);
  const shown = await view.tell('grafana-dashboard', async () => ({ application: dashboardBag() }));
  const asked = await view.tell('tracing', async () => ({ application: tracingRequest }));
  const traces = await view.traceLocation();
  return { ...before, ...logs, traces, exporters: metrics.exporters, told: { ...metrics.told, ...shown, ...asked } };
};

interface Watched extends Required<WatchedParts> {
  readonly view: UnitView;
  readonly before: WatchersState;
}

const sendLogs = async ({ dispatched, telemetry, log, view, before }: Watched): Promise<Partial<WatchersState>> => {
  const locations = await view.logLocations();
  if (locations === null) return {};
  if (locations.length === 0 && !before.forwards) return { logs: [] };
  if (!featuresOf(dispatched.version).logForwarding) {
    if (!same(locations, before.logs))
      log.warn({}, 'logs are not sent to Loki: that takes Juju 3.4 or newer, so upgrade the controller and the model');
    return { logs: locations };
  }
  const told = await telemetry.forwardLogs({ locations, labels: logLabels(topologyOf(dispatched)) });
  if (told.kind === 'refused') log.warn({ reason: told.reason }, 'the workload cannot be told where logs go');
  // What it was told and did not answer may be so.
  return { logs: locations, forwards: locations.length > 0 || (before.forwards && told.kind !== 'told') };
};

const giveMetrics = async (watched: Watched): Promise<Pick<WatchersState, 'exporters' | 'told'>> => {
  const { telemetry, view, before } = watched;
  const endpoint = 'metrics-endpoint';
  const isWatched = await view.isWatched(endpoint);
  if (isWatched === true) {
    const exported = await telemetry.exportMetrics();
    const told = await view.tell(endpoint, () => metricsOf(watched, exported));
    const isKnown = exported.kind === 'exported' || exported.kind === 'failing';
    const isMissing = exported.kind === 'missing' || (!isKnown && before.exporters === 'missing');
    return { exporters: isMissing ? 'missing' : 'started', told };
  }
  const told = await view.tell(endpoint, async () => null);
  const isOver =
    isWatched === false && (before.exporters !== 'started' || (await telemetry.stopExporters()).kind === 'told');
  return { exporters: isOver ? 'none' : before.exporters, told };
};

/** Null while it cannot be known whether metrics can be read. */
const metricsOf = async (
  { dispatched, telemetry, log, view, before }: Watched,
  exported: Awaited<ReturnType<Telemetry['exportMetrics']>>,
): Promise<Tale | null> => {
  switch (exported.kind) {
    case 'away':
    case 'early':
      return null;
    case 'refused':
      log.warn({ reason: exported.reason }, 'metrics cannot be exported');
      return null;
    case 'missing':
      if (before.exporters !== 'missing') log.warn({}, exporterRemark.message);
      return { application: nothingScraped, unit: scrapedUnitBag(null) };
    case 'failing':
      log.warn({ services: exported.services }, 'exporters of metrics do not run: see their logs');
      break;
    case 'exported':
  }
  const { unit } = dispatched;
  const fqdn = podNameOf(dispatched);
  // Those who scrape put a port behind it, which an address of IPv6 does not bear.
  const [address = fqdn] = Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).flatMap((bound) => (bound.internal || bound.family !== 'IPv4' ? [] : [bound.address])),
  );
  const instances = await view.instancesOfEach();
  return {
    application: scrapeBag(topologyOf(dispatched), { instances, firstPort: telemetry.metricsPort }),
    unit: scrapedUnitBag({ unit, address, fqdn }),
  };
};

const topologyOf = ({ application, unit, model }: Dispatched): Topology => ({
  model: model.name,
  modelUuid: model.uuid,
  application,
  unit,
});
