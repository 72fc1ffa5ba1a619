import { isIPv6 } from 'node:net';
import type { NodeSeen, ServiceSeen } from './objects.ts';

/** `host:port`, IPv6 in brackets; sorted, so that the same cluster always gives the same text. */
export type Endpoints = readonly string[];
/** By the port of the Service that leads there. */
export type EndpointsByPort = ReadonlyMap<number, Endpoints>;

/** The port that Kubernetes gave to one of the Service, at every node that runs a unit. None: there is no port yet, or no node. */
export const nodeEndpoints = (service: ServiceSeen, nodes: readonly NodeSeen[], port: number): Endpoints => {
  const nodePort = service.spec.ports.find((one) => one.port === port)?.nodePort;
  if (nodePort === undefined) return [];
  return distinct(nodes.flatMap(({ status }) => preferred(status.addresses)).map((host) => at(host, nodePort)));
};

/** Where the load balancer was put. None: it has no place yet. */
export const balancerEndpoints = (service: ServiceSeen, port: number): Endpoints =>
  distinct(
    (service.status.loadBalancer.ingress ?? []).flatMap(({ ip, hostname }) => {
      const host = ip ?? hostname;
      return host === undefined ? [] : [at(host, port)];
    }),
  );

/** One kind of address for each node: of those that lead furthest. */
const preferred = (addresses: NodeSeen['status']['addresses']): readonly string[] => {
  for (const wanted of ['ExternalIP', 'InternalIP', 'Hostname']) {
    const found = addresses.filter(({ type }) => type === wanted);
    if (found.length > 0) return found.map(({ address }) => address);
  }
  return [];
};

const at = (host: string, port: number): string => (isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`);
const distinct = (endpoints: readonly string[]): Endpoints => [...new Set(endpoints)].toSorted();
