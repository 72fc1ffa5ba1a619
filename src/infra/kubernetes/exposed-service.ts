import type { z } from 'zod';
import { lack } from '../../actors/model/wait-catalogue.ts';
import type { Lack } from '../../actors/model/waits.ts';
import type { Answer, KubernetesApi } from './api.ts';
import { balancerEndpoints, type Endpoints, type EndpointsByPort, nodeEndpoints } from './endpoints.ts';
import { nodeSeen, podSeen, podsSeen, serviceSeen } from './objects.ts';
import { podsOf, serviceName, type ServiceOfApplication, wantedService } from './service.ts';

export type Reached =
  /** Null: at the address that each unit tells, which is the name of the Service, at the port where it listens. */
  | { readonly kind: 'known'; readonly endpoints: EndpointsByPort | null }
  | { readonly kind: 'wait'; readonly lack: Lack };

/**
 * Makes the Service of the application what it must be; null: it is. For the leader. `pod`: any of the application, its own for
 * instance: what owns it owns the Service.
 */
export const applyService = async (
  api: KubernetesApi,
  wanted: ServiceOfApplication,
  pod: string,
): Promise<Lack | null> => {
  const { application, model } = wanted;
  const name = serviceName(application);
  const found = seen(await api.get(`${pathsOf(model).pods}/${pod}`), podSeen);
  if (found.kind !== 'seen') return lackOf(found, application, `find what owns pod "${pod}"`);
  const service = wantedService(wanted, found.value.metadata.ownerReferences);
  const applied = await api.apply(`${pathsOf(model).services}/${name}`, service, application);
  return applied.kind === 'done' ? null : lackOf(applied, application, `apply Service "${name}"`);
};

/** Where clients reach the application. Asks Kubernetes only when they are outside of the cluster. */
export const endpointsOf = async (api: KubernetesApi, wanted: ServiceOfApplication): Promise<Reached> => {
  const { application, model, port, portsBefore, exposure } = wanted;
  if (exposure.kind === 'inside') return known(null);
  const name = serviceName(application);
  const waits = (answer: NotSeen, what: string): Reached => ({ kind: 'wait', lack: lackOf(answer, application, what) });
  const service = seen(await api.get(`${pathsOf(model).services}/${name}`), serviceSeen);
  if (service.kind !== 'seen') return waits(service, `read Service "${name}"`);
  const byPort = (endpointsAt: (port: number) => Endpoints): EndpointsByPort =>
    new Map(
      [port, ...portsBefore].map((one) => [one, endpointsAt(one)] as const).filter(([, found]) => found.length > 0),
    );
  if (exposure.kind === 'balancer') {
    const endpoints = byPort((one) => balancerEndpoints(service.value, one));
    return endpoints.size > 0 ? known(endpoints) : { kind: 'wait', lack: lack.balancerAddress({ service: name }) };
  }
  const selector = new URLSearchParams({ labelSelector: labels(podsOf(application)) }).toString();
  const pods = seen(await api.get(`${pathsOf(model).pods}?${selector}`), podsSeen);
  if (pods.kind !== 'seen') return waits(pods, 'list the pods of the application');
  const names = new Set(pods.value.items.flatMap(({ spec }) => spec.nodeName ?? []));
  const nodes = await Promise.all(
    [...names].map(async (node) => seen(await api.get(`/api/v1/nodes/${node}`), nodeSeen)),
  );
  const unseen = nodes.find((node) => node.kind !== 'seen');
  if (unseen !== undefined) return waits(unseen, 'read the nodes that run the application');
  const there = nodes.flatMap((node) => (node.kind === 'seen' ? [node.value] : []));
  const endpoints = byPort((one) => nodeEndpoints(service.value, there, one));
  return endpoints.size > 0 ? known(endpoints) : { kind: 'wait', lack: lack.nodePort({ service: name }) };
};

const pathsOf = (model: string) => {
  const namespace = `/api/v1/namespaces/${model}`;
  return { pods: `${namespace}/pods`, services: `${namespace}/services` };
};
const labels = (wanted: Readonly<Record<string, string>>): string =>
  Object.entries(wanted)
    .map((label) => label.join('='))
    .join(',');

type NotSeen = Exclude<Answer, { readonly kind: 'done' }>;
type Seen<T> = { readonly kind: 'seen'; readonly value: T } | NotSeen;

/** What does not look like the object asked for came from somebody else than the API server. */
const seen = <T>(answer: Answer, schema: z.ZodType<T>): Seen<T> => {
  if (answer.kind !== 'done') return answer;
  const read = schema.safeParse(answer.body);
  if (read.success) return { kind: 'seen', value: read.data };
  const where = read.error.issues[0]?.path.join('.') ?? '';
  return { kind: 'unreachable', reason: `what it answered cannot be read (at "${where}")` };
};

const known = (endpoints: EndpointsByPort | null): Reached => ({ kind: 'known', endpoints });

/** `what` could not be done. */
const lackOf = (answer: NotSeen, application: string, what: string): Lack => {
  const { reason } = answer;
  if (answer.kind === 'unreachable' || mayPass(answer.status)) return lack.kubernetesUnreachable({ what, reason });
  return answer.status === 403
    ? lack.kubernetesForbids({ what, reason, application })
    : lack.kubernetesRefuses({ what, reason });
};

/** Signed in with a token that is just replaced, not there yet, somebody else was quicker, too busy, out of order. */
const mayPass = (status: number): boolean => [401, 404, 408, 409, 429].includes(status) || status >= 500;
