import type { Exposure } from './exposure.ts';

/** What owns the pods of the application: what it owns goes when it goes. */
export interface Owner {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}
export interface ServiceOfApplication {
  readonly application: string;
  /** Name of the model, which is that of the namespace. */
  readonly model: string;
  /** Where PgBouncers listen, or will as soon as that is proven. */
  readonly port: number;
  /** Where some of them listen until then. */
  readonly portsBefore: readonly number[];
  readonly exposure: Exposure;
}

/** The one that clients are given; the one named like the application is Juju's. */
export const serviceName = (application: string): string => `${application}-service`;

/** As Juju labels the pods of an application. */
export const podsOf = (application: string): Readonly<Record<string, string>> => ({
  'app.kubernetes.io/name': application,
});

/** The Service that clients reach the units through, with nothing but what is ours to decide. */
export const wantedService = (wanted: ServiceOfApplication, owners: readonly Owner[]) => ({
  apiVersion: 'v1' as const,
  kind: 'Service' as const,
  metadata: {
    name: serviceName(wanted.application),
    namespace: wanted.model,
    labels: podsOf(wanted.application),
    annotations: wanted.exposure.kind === 'balancer' ? wanted.exposure.annotations : {},
    ownerReferences: owners.map(({ apiVersion, kind, name, uid }) => ({ apiVersion, kind, name, uid })),
  },
  spec: {
    type: types[wanted.exposure.kind],
    selector: podsOf(wanted.application),
    ports: [portAt('pgbouncer', wanted.port), ...wanted.portsBefore.map((port) => portAt(`pgbouncer-${port}`, port))],
  },
});

const portAt = (name: string, port: number) => ({ name, protocol: 'TCP', port, targetPort: port }) as const;

const types = { inside: 'ClusterIP', nodes: 'NodePort', balancer: 'LoadBalancer' } as const satisfies Readonly<
  Record<Exposure['kind'], string>
>;
