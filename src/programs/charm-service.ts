/**
 * The Service that clients are given. The leader makes it what the options say when that has changed, and now and then because
 * somebody may have changed it; and finds out where it leads from outside of the cluster.
 */
import { createHash } from 'node:crypto';
import type { Application, UnitName } from '../actors/model/ids.ts';
import { lack } from '../actors/model/wait-catalogue.ts';
import type { Lack } from '../actors/model/waits.ts';
import type { SharedEndpoints } from '../actors/relation/client/databag.ts';
import type { KubernetesApi } from '../infra/kubernetes/api.ts';
import { applyService, endpointsOf } from '../infra/kubernetes/exposed-service.ts';
import { exposureIn } from '../infra/kubernetes/exposure.ts';
import { checkOptions } from '../pgbouncer/catalogue.ts';

export interface ServiceAsked {
  readonly application: Application;
  /** Name of the model. */
  readonly model: string;
  readonly unit: UnitName;
  /** All options of the application. */
  readonly config: Readonly<Record<string, string | number | boolean>>;
  /** Where units say that they are reached, as `host:port`. */
  readonly served: readonly string[];
  /** What `applied` told last. */
  readonly applied: string | null;
  /** Also when it is what it was. */
  readonly looksAgain: boolean;
}
export interface ServiceMade {
  readonly endpoints: SharedEndpoints | null;
  readonly lacks: readonly Lack[];
  /** Names what was applied, to know it again; null when it was not. */
  readonly applied: string | null;
}

export const makeService = async (api: KubernetesApi, asked: ServiceAsked): Promise<ServiceMade> => {
  const { application, model, unit, config, looksAgain } = asked;
  const read = exposureIn(config);
  if (!read.ok) {
    const lacks = read.problems.map(({ path, reason }) =>
      lack.optionEntry({ name: path.slice('options.'.length), reason, others: 0 }),
    );
    return { endpoints: nowhere, lacks, applied: asked.applied };
  }
  const port = portIn(config);
  // Until every unit has proven that it can listen elsewhere, clients are served where they are.
  const portsBefore = portsIn(asked.served).filter((one) => one !== port);
  const wanted = { application, model, port, portsBefore, exposure: read.exposure };
  const name = createHash('sha256').update(JSON.stringify(wanted)).digest('hex').slice(0, 16);
  const refused =
    name === asked.applied && !looksAgain ? null : await applyService(api, wanted, unit.replace('/', '-'));
  if (refused !== null) return { endpoints: nowhere, lacks: [refused], applied: null };
  const reached = await endpointsOf(api, wanted);
  return reached.kind === 'known'
    ? { endpoints: reached.endpoints, lacks: [], applied: name }
    : { endpoints: nowhere, lacks: [reached.lack], applied: name };
};

const nowhere: SharedEndpoints = new Map();

/**
 * Each once, lowest first. An address comes out of the bag of a unit, where anything may stand: one that names no port that can be is
 * left out, because Kubernetes would refuse the whole Service for it, and clients of all units would be without.
 */
const portsIn = (addresses: readonly string[]): readonly number[] => {
  const ports = addresses.map((address) => Number(/:(\d{1,5})$/.exec(address)?.[1] ?? 0));
  return [...new Set(ports.filter((port) => port >= 1 && port <= 65_535))].toSorted((a, b) => a - b);
};

/** One that cannot be is told as an option; until it is mended the port stays what it was, which nobody here knows better. */
const portIn = ({ listen_port: port = 6432 }: ServiceAsked['config']): number =>
  typeof port === 'number' && checkOptions({ listen_port: port }).length === 0 ? port : 6432;
