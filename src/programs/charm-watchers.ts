/**
 * What a dispatch does for those who watch over the application. None of it is worth a failed hook: what does not work is said in the
 * log, and tried again by the next one.
 */
import { same } from '../actors/model/same.ts';
import type { JujuBackplane } from '../infra/juju/backplane/backplane.ts';
import type { WatchersState } from '../infra/juju/backplane/charm-state.ts';
import type { Dispatched } from '../infra/juju/environment.ts';
import type { Log } from '../infra/files/log.ts';
import { featuresOf } from '../infra/juju/version.ts';
import { logLabels } from '../infra/juju/wire/loki-push-api.ts';
import type { Topology } from '../infra/juju/wire/topology.ts';
import type { Telemetry } from '../infra/pebble/telemetry.ts';

export interface WatchedParts {
  readonly dispatched: Dispatched;
  readonly telemetry?: Telemetry;
  readonly log: Log;
}

/** What is to be remembered of it. */
export const serveWatchers = async (parts: WatchedParts, backplane: JujuBackplane): Promise<WatchersState> => {
  const { watchers: before } = await backplane.lastState();
  return { ...before, ...(await sendLogs(parts, backplane, before)) };
};

const sendLogs = async (
  { dispatched, telemetry, log }: WatchedParts,
  backplane: JujuBackplane,
  before: WatchersState,
): Promise<Partial<WatchersState>> => {
  const locations = await backplane.logLocations();
  if (locations === null || telemetry === undefined) return {};
  if (locations.length === 0 && !before.forwards) return { logs: [] };
  if (!featuresOf(dispatched.version).logForwarding) {
    if (!same(locations, before.logs))
      log.warn({}, 'logs are not sent to Loki: that takes Juju 3.4 or newer, so upgrade the controller and the model');
    return { logs: locations };
  }
  const told = await telemetry.forwardLogs({ locations, labels: logLabels(topologyOf(dispatched)) });
  if (told.kind === 'failed') log.warn({ reason: told.reason }, 'the workload cannot be told where logs go');
  // What it was told and did not answer may be so.
  return { logs: locations, forwards: locations.length > 0 || (before.forwards && told.kind !== 'done') };
};

const topologyOf = ({ application, unit, model }: Dispatched): Topology => ({
  model: model.name,
  modelUuid: model.uuid,
  application,
  unit,
});
