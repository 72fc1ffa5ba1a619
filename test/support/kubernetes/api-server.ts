/**
 * A small API server of Kubernetes for tests: TLS, tokens, who may what, namespaces, pods, nodes, and Services with server-side
 * apply as its documentation has it (a manager's fields that it applies no longer go; what others set stays). It refuses objects
 * that Kubernetes would refuse.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Node, Pod, Service } from 'kubernetes-types/core/v1.js';
import type { Status } from 'kubernetes-types/meta/v1.js';
import { z } from 'zod';
import type { KubernetesPlace } from '../../../src/infra/kubernetes/api.ts';
import { authority, first, type Pair } from '../certificates.ts';

export type Verb = 'get' | 'list' | 'patch';

export class ApiServer implements AsyncDisposable {
  readonly pods: Pod[] = [];
  readonly nodes: Node[] = [];
  readonly services = new Map<string, Service>();
  /** What was asked, in order, as `verb resource/name`. */
  readonly asked: string[] = [];
  token = 'token-1';
  may: (verb: Verb, resource: string) => boolean = () => true;
  /** Answers with this instead, when it is set. */
  answers: { readonly status: number; readonly body: string } | null = null;
  readonly #account = mkdtempSync(join(tmpdir(), 'troupe-account-'));
  readonly #server: Server;
  readonly #managed = new Map<string, Managed>();
  #nextNodePort = 30_000;

  private constructor({ certificate, key }: Pair) {
    this.#server = createServer({ cert: certificate, key }, (request, response) => {
      void this.#serve(request, response);
    });
  }

  /** `pair`: for the address at which it is reached; `ca`: who has signed it. */
  static async open(pair: Pair = first, ca: string = authority): Promise<ApiServer> {
    const server = new ApiServer(pair);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    server.mountAccount({ ca });
    return server;
  }

  get place(): KubernetesPlace {
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port, account: this.#account };
  }

  /** Writes what Kubernetes mounts into every pod. */
  mountAccount({ token = this.token, ca = authority }: { readonly token?: string; readonly ca?: string } = {}): void {
    chmodSync(this.#account, 0o755); // Dispatches may run as somebody else.
    writeFileSync(join(this.#account, 'token'), `${token}\n`);
    writeFileSync(join(this.#account, 'ca.crt'), ca);
  }

  /** As the provider of load balancers does once it has one. */
  giveBalancer(namespace: string, name: string, ingress: { readonly ip?: string; readonly hostname?: string }): void {
    const service = this.services.get(`${namespace}/${name}`);
    if (service === undefined) throw new Error(`there is no Service ${namespace}/${name}`);
    this.services.set(`${namespace}/${name}`, { ...service, status: { loadBalancer: { ingress: [ingress] } } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    rmSync(this.#account, { recursive: true, force: true });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, body } = this.answers ?? (await this.#answer(request));
    response.writeHead(status, { 'content-type': 'application/json' }).end(body);
  }

  async #answer(request: IncomingMessage): Promise<{ readonly status: number; readonly body: string }> {
    try {
      const url = new URL(request.url ?? '', 'https://server');
      return said(200, this.#resultOf(request, url, await text(request)));
    } catch (cause) {
      if (cause instanceof Refused) return said(cause.status.code ?? 500, cause.status);
      throw cause;
    }
  }

  #resultOf(request: IncomingMessage, url: URL, body: string): object {
    if (request.headers.authorization !== `Bearer ${this.token}`) throw new Refused(401, 'Unauthorized');
    const [, namespace = null, resource = '', name = null] =
      /^\/api\/v1\/(?:namespaces\/([^/]+)\/)?([^/]+)(?:\/([^/]+))?$/.exec(url.pathname) ?? [];
    const verb = request.method === 'PATCH' ? 'patch' : name === null ? 'list' : 'get';
    this.asked.push(`${verb} ${resource}${name === null ? '' : `/${name}`}`);
    if (!this.may(verb, resource))
      throw new Refused(
        403,
        `${resource} ${name === null ? '' : `"${name}" `}is forbidden: User "system:serviceaccount:${namespace ?? ''}:pgbouncer" cannot ${verb} resource "${resource}" in API group ""`,
      );
    switch (`${verb} ${resource}`) {
      case 'get pods':
        return found(this.pods, resource, namespace, name);
      case 'list pods':
        return { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: this.#podsWith(url, namespace) };
      case 'get nodes':
        return found(this.nodes, resource, undefined, name);
      case 'get services':
        return found([...this.services.values()], resource, namespace, name);
      case 'patch services':
        return this.#apply(`${namespace}/${name}`, request, url, body);
      default:
        throw new Refused(404, 'the server could not find the requested resource');
    }
  }

  #podsWith(url: URL, namespace: string | null): readonly Pod[] {
    const labels = (url.searchParams.get('labelSelector') ?? '').split(',').map((label) => label.split('='));
    return this.pods.filter(
      ({ metadata }) =>
        metadata?.namespace === namespace &&
        labels.every(([key = '', value]) => key === '' || metadata?.labels?.[key] === value),
    );
  }

  #apply(key: string, { headers }: IncomingMessage, url: URL, body: string): Service {
    if (headers['content-type'] !== 'application/apply-patch+yaml')
      throw new Refused(415, 'the body of the request was in an unknown format');
    const manager = url.searchParams.get('fieldManager') ?? '';
    if (manager === '')
      throw new Refused(
        400,
        'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
      );
    const applied = checked(key, body);
    const before = this.services.get(key);
    const was = this.#managed.get(`${key} ${manager}`)?.annotations ?? [];
    const kept = Object.entries(before?.metadata?.annotations ?? {}).filter(([name]) => !was.includes(name));
    this.#managed.set(`${key} ${manager}`, { annotations: Object.keys(applied.metadata.annotations) });
    const service: Service = {
      ...before,
      ...applied,
      metadata: {
        ...before?.metadata,
        ...applied.metadata,
        annotations: { ...Object.fromEntries(kept), ...applied.metadata.annotations },
      },
      spec: {
        ...before?.spec,
        ...applied.spec,
        ports: applied.spec.ports.map((port) => this.#portOf(applied, before, port)),
      },
      status: applied.spec.type === 'LoadBalancer' ? (before?.status ?? { loadBalancer: {} }) : { loadBalancer: {} },
    };
    this.services.set(key, service);
    return service;
  }

  /** A port of the nodes stays while the Service is of a type that has one. */
  #portOf({ spec }: Applied, before: Service | undefined, port: Applied['spec']['ports'][number]) {
    if (spec.type === 'ClusterIP') return port;
    const had = before?.spec?.ports?.find((one) => one.port === port.port)?.nodePort;
    return { ...port, nodePort: had ?? this.#nextNodePort++ };
  }
}

interface Managed {
  readonly annotations: readonly string[];
}

class Refused extends Error {
  readonly status: Status;
  constructor(code: number, message: string) {
    super(message);
    this.status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message, code };
  }
}

const said = (status: number, body: object) => ({ status, body: JSON.stringify(body) });

const found = <T extends Pod | Node | Service>(
  among: readonly T[],
  resource: string,
  namespace: string | null | undefined,
  name: string | null,
): T => {
  const one = among.find(
    ({ metadata }) => metadata?.name === name && (namespace === undefined || metadata?.namespace === namespace),
  );
  if (one === undefined) throw new Refused(404, `${resource} "${name}" not found`);
  return one;
};

const label = z.string().regex(/^(?:[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?)?$/);
const qualified = z
  .string()
  .regex(/^(?:[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?\/)?[A-Za-z0-9](?:[\w.-]{0,61}[A-Za-z0-9])?$/);
const port = z.int().min(1).max(65_535);
/** The fields that are applied here, as Kubernetes validates them (fieldValidation=Strict). */
const service = z.strictObject({
  apiVersion: z.literal('v1'),
  kind: z.literal('Service'),
  metadata: z.strictObject({
    name: z.string().regex(/^[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/),
    namespace: z.string(),
    labels: z.record(qualified, label),
    annotations: z.record(qualified, z.string()),
    ownerReferences: z.array(
      z.strictObject({
        apiVersion: z.string().min(1),
        kind: z.string().min(1),
        name: z.string().min(1),
        uid: z.string().min(1),
      }),
    ),
  }),
  spec: z.strictObject({
    type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']),
    selector: z.record(qualified, label),
    ports: z
      .array(z.strictObject({ name: label, protocol: z.enum(['TCP', 'UDP', 'SCTP']), port, targetPort: port }))
      .min(1),
  }),
}) satisfies z.ZodType<Service>;
type Applied = z.infer<typeof service>;

const checked = (key: string, body: string): Applied => {
  const read = service.safeParse(JSON.parse(body));
  if (!read.success) {
    const [issue] = read.error.issues;
    throw new Refused(422, `Service "${key}" is invalid: ${issue?.path.join('.')}: Invalid value: ${issue?.message}`);
  }
  const { name, namespace } = read.data.metadata;
  if (`${namespace}/${name}` !== key)
    throw new Refused(400, 'the name of the object does not match the name on the URL');
  return read.data;
};
