/**
 * What Juju starts for every hook and every action: one event, handled to its end. It runs in the charm's container, which shares the
 * network with PgBouncer's, and no files. Juju says everything in the environment; the TROUPE_* in it are for who is not in a pod.
 */
import './schemas-read-once.ts';
import { createSystemClock } from './infra/clock/system-clock.ts';
import { createCredentials } from './infra/credentials/credentials.ts';
import { dispatchedBy, type Environment, NotDispatched } from './infra/juju/environment.ts';
import { JujuLog } from './infra/juju/log.ts';
import { toolsOnPath } from './infra/juju/tool-process.ts';
import { createJujuTools } from './infra/juju/tools.ts';
import { openKubernetesApi } from './infra/kubernetes/api.ts';
import { openPebble } from './infra/pebble/client.ts';
import { settledNoteIn } from './infra/pebble/settled-note.ts';
import { openTelemetry } from './infra/pebble/telemetry.ts';
import { openPebbleWorkload } from './infra/pebble/workload.ts';
import { openPostgres } from './infra/postgres/postgres.ts';
import type { Before } from './programs/charm-front.ts';
import { placeIn, toolMs } from './programs/charm-place.ts';
import { createSettling } from './programs/charm-settling.ts';
import { createDispatchTrace } from './programs/charm-trace.ts';
import { type DispatchParts, runDispatch } from './programs/dispatch.ts';

/** Where metrics of the first instance are read, as exporters of PgBouncer have it. */
const metricsPort = 9127;
const exporter = 'pgbouncer_exporter';

/** Where Kubernetes mounts it in every pod. */
const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

const main = async (environment: Environment, before: Before | null): Promise<number> => {
  const dispatched = dispatchedBy(environment);
  const { application, model } = dispatched;
  const clock = createSystemClock();
  const log = new JujuLog();
  const tls: NonNullable<DispatchParts['tls']> = { material: null };
  const { socket, ...where } = placeIn(environment);
  const pebble = openPebble(socket);
  const place = { pebble, ...where };
  await using workload = openPebbleWorkload({
    ...place,
    binary: environment['TROUPE_PGBOUNCER'] ?? 'pgbouncer',
    listenAddress: environment['TROUPE_LISTEN_ADDRESS'] ?? '0.0.0.0',
    tls: () => tls.material,
    clock,
    log,
  });
  await using postgres = openPostgres({ application, clock, log });
  using kubernetes =
    dispatched.kubernetes === null ? null : openKubernetesApi({ ...dispatched.kubernetes, account: serviceAccount });
  const trace = createDispatchTrace(dispatched, environment['JUJU_DISPATCH_PATH'] ?? '', log);
  const run = trace.noting(toolsOnPath(environment, toolMs));
  const settling = createSettling(run, settledNoteIn(pebble, place.stateDir), before);
  const parts = {
    dispatched,
    tools: createJujuTools(settling.run),
    workload,
    postgres,
    credentials: createCredentials(),
    clock,
    instances: place.instances,
    advertise: `${application}-service.${model.name}.svc.cluster.local`,
    kubernetes,
    tls,
    telemetry: openTelemetry({ ...place, exporter, metricsPort }),
    trace,
    settling,
    log,
  };
  return await runDispatch(parts);
};

/** `before`: as a first look found things; null when there was none. */
export const runCharm = async (environment: Environment, before: Before | null): Promise<void> => {
  try {
    process.exitCode = await main(environment, before);
  } catch (cause) {
    process.exitCode = 1;
    process.stderr.write(`${cause instanceof NotDispatched ? cause.message : String(cause)}\n`);
  }
};
