/**
 * What Juju starts for every hook and every action: one event, handled to its end. It runs in the charm's container, which shares the
 * network with PgBouncer's, and no files. Juju says everything in the environment; the TROUPE_* in it are for who is not in a pod.
 */
import './schemas-read-once.ts';
import { availableParallelism } from 'node:os';
import { createSystemClock } from './infra/clock/system-clock.ts';
import { createCredentials } from './infra/credentials/credentials.ts';
import { dispatchedBy, type Environment, NotDispatched } from './infra/juju/environment.ts';
import { JujuLog } from './infra/juju/log.ts';
import { toolsOnPath } from './infra/juju/tool-process.ts';
import { createJujuTools } from './infra/juju/tools.ts';
import { openKubernetesApi } from './infra/kubernetes/api.ts';
import { openPebble } from './infra/pebble/client.ts';
import { openTelemetry } from './infra/pebble/telemetry.ts';
import { openPebbleWorkload } from './infra/pebble/workload.ts';
import { openPostgres } from './infra/postgres/postgres.ts';
import { createDispatchTrace } from './programs/charm-trace.ts';
import { type DispatchParts, runDispatch } from './programs/dispatch.ts';

/** The agent answers a hook tool within seconds, or its controller is away. */
const toolMs = 60_000;
/** Each keeps one processor busy; one alone could not be restarted without its clients noticing. */
const [fewestInstances, mostInstances] = [2, 4];

/** Where metrics of the first instance are read, as exporters of PgBouncer have it. */
const metricsPort = 9127;
const exporter = 'pgbouncer_exporter';

/** Where Kubernetes mounts it in every pod. */
const serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount';

const main = async (environment: Environment): Promise<number> => {
  const dispatched = dispatchedBy(environment);
  const { application, model } = dispatched;
  const clock = createSystemClock();
  const log = new JujuLog();
  const instances = Math.min(mostInstances, Math.max(fewestInstances, availableParallelism()));
  const tls: NonNullable<DispatchParts['tls']> = { material: null };
  const pebble = openPebble(environment['TROUPE_PEBBLE'] ?? '/charm/containers/pgbouncer/pebble.socket');
  const place = {
    pebble,
    stateDir: environment['TROUPE_STATE_DIR'] ?? '/var/lib/pgbouncer',
    user: environment['TROUPE_USER'] ?? 'postgres',
    consoleNetwork: environment['TROUPE_CONSOLE_NETWORK'] ?? '127.0.1',
    instances,
  };
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
  const parts = {
    dispatched,
    tools: createJujuTools(trace.noting(toolsOnPath(environment, toolMs))),
    workload,
    postgres,
    credentials: createCredentials(),
    clock,
    instances,
    advertise: `${application}-service.${model.name}.svc.cluster.local`,
    kubernetes,
    tls,
    telemetry: openTelemetry({ ...place, exporter, metricsPort }),
    trace,
    log,
  };
  return await runDispatch(parts);
};

void main(process.env).then(
  (code) => {
    process.exitCode = code;
  },
  (cause: unknown) => {
    process.exitCode = 1;
    process.stderr.write(`${cause instanceof NotDispatched ? cause.message : String(cause)}\n`);
  },
);
