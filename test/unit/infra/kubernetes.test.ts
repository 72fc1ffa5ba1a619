import type { Node, Pod, Service } from 'kubernetes-types/core/v1.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type KubernetesApi, openKubernetesApi } from '../../../src/infra/kubernetes/api.ts';
import { balancerEndpoints, nodeEndpoints } from '../../../src/infra/kubernetes/endpoints.ts';
import { applyService, endpointsOf } from '../../../src/infra/kubernetes/exposed-service.ts';
import { type Exposure, exposureIn } from '../../../src/infra/kubernetes/exposure.ts';
import { nodeSeen, serviceSeen } from '../../../src/infra/kubernetes/objects.ts';
import { type ServiceOfApplication, wantedService } from '../../../src/infra/kubernetes/service.ts';
import { otherAuthority } from '../../support/certificates.ts';
import { ApiServer } from '../../support/kubernetes/api-server.ts';

const owner = { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'pgbouncer', uid: 'b7e1' };
const wanted = (exposure: Exposure = { kind: 'inside' }, port = 6432): ServiceOfApplication => ({
  application: 'pgbouncer',
  model: 'prod',
  port,
  portsBefore: [],
  exposure,
});
const balancer = (annotations: Readonly<Record<string, string>> = {}): Exposure => ({ kind: 'balancer', annotations });
const pod = (name: string, nodeName: string, application = 'pgbouncer'): Pod => ({
  metadata: {
    name,
    namespace: 'prod',
    labels: { 'app.kubernetes.io/name': application },
    ownerReferences: [{ ...owner, controller: true }],
  },
  spec: { nodeName, containers: [] },
});
const node = (name: string, ...addresses: readonly (readonly [type: string, address: string])[]): Node => ({
  metadata: { name },
  status: { addresses: addresses.map(([type, address]) => ({ type, address })) },
});
const reached = (...endpoints: readonly string[]) => ({ kind: 'known', endpoints: new Map([[6432, endpoints]]) });

describe('the options of the Service', () => {
  it('are read with their defaults, and other options are left alone', () => {
    expect(exposureIn({ pool_mode: 'session' })).toEqual({ ok: true, exposure: { kind: 'inside' } });
    expect(exposureIn({ 'expose-external': 'nodeport' })).toEqual({ ok: true, exposure: { kind: 'nodes' } });
    const annotations = { 'metallb.io/address-pool': 'db' };
    expect(
      exposureIn({ 'expose-external': 'loadbalancer', 'loadbalancer-extra-annotations': JSON.stringify(annotations) }),
    ).toEqual({ ok: true, exposure: { kind: 'balancer', annotations } });
  });

  it.each([
    ['expose-external', 'True', 'expose-external=True must be one of false, nodeport, loadbalancer'],
    ['expose-external', false, 'expose-external=false must be one of false, nodeport, loadbalancer'],
    ['loadbalancer-extra-annotations', 'a: b', 'must be a JSON object of texts'],
    ['loadbalancer-extra-annotations', '{"a": 1}', 'must be a JSON object of texts'],
    ['loadbalancer-extra-annotations', '{"a" "b"}', 'must be a JSON object of texts'],
    ['loadbalancer-extra-annotations', '["a"]', 'must be a JSON object of texts'],
  ])('refuse %s=%s with a sentence', (key, value, sentence) => {
    const read = exposureIn({ 'expose-external': 'loadbalancer', [key]: value });
    expect(read).toEqual({
      ok: false,
      problems: [{ path: `options.${key}`, reason: expect.stringContaining(sentence) }],
    });
  });
});

describe('the wanted Service', () => {
  it('leads to all pods of the application, and goes with what owns them', () => {
    const service: Service = wantedService(wanted({ kind: 'inside' }, 5432), [owner]);
    expect(service).toEqual({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        name: 'pgbouncer-service',
        namespace: 'prod',
        labels: { 'app.kubernetes.io/name': 'pgbouncer' },
        annotations: {},
        ownerReferences: [owner],
      },
      spec: {
        type: 'ClusterIP',
        selector: { 'app.kubernetes.io/name': 'pgbouncer' },
        ports: [{ name: 'pgbouncer', protocol: 'TCP', port: 5432, targetPort: 5432 }],
      },
    } satisfies Service);
  });

  it('leads to where units listen until it is proven that they can elsewhere', () => {
    const { spec } = wantedService({ ...wanted({ kind: 'inside' }, 6543), portsBefore: [6432] }, []);
    expect(spec.ports).toEqual([
      { name: 'pgbouncer', protocol: 'TCP', port: 6543, targetPort: 6543 },
      { name: 'pgbouncer-6432', protocol: 'TCP', port: 6432, targetPort: 6432 },
    ]);
  });

  it('is of the type that the option says, with annotations for a load balancer alone', () => {
    const { metadata, spec } = wantedService(wanted(balancer({ a: 'b' })), []);
    expect([spec.type, metadata.annotations]).toEqual(['LoadBalancer', { a: 'b' }]);
    expect(wantedService(wanted({ kind: 'nodes' }), []).spec.type).toBe('NodePort');
  });
});

describe('endpoints', () => {
  const service = (parts: Service) => serviceSeen.parse({ kind: 'Service', ...parts });
  const ofNodes = (...nodes: readonly Node[]) =>
    nodeEndpoints(
      service({ spec: { ports: [{ port: 6432, nodePort: 31_000 }] } }),
      nodes.map((one) => nodeSeen.parse(one)),
      6432,
    );

  it('at the nodes are of the kind of address that leads furthest, each once, sorted', () => {
    expect(
      ofNodes(
        node('b', ['Hostname', 'b'], ['InternalIP', '10.0.0.2'], ['ExternalIP', '203.0.113.2']),
        node('a', ['Hostname', 'a'], ['InternalIP', '10.0.0.1'], ['InternalIP', 'fd00::1']),
        node('c', ['Hostname', 'c'], ['InternalDNS', 'c.internal']),
        node('d', ['ExternalIP', '203.0.113.2']),
        node('e'),
      ),
    ).toEqual(['10.0.0.1:31000', '203.0.113.2:31000', '[fd00::1]:31000', 'c:31000']);
  });

  it('at the nodes are none without a port, or without a node', () => {
    expect(
      nodeEndpoints(
        service({ spec: { ports: [{ port: 6432 }] } }),
        [nodeSeen.parse(node('a', ['Hostname', 'a']))],
        6432,
      ),
    ).toEqual([]);
    expect(ofNodes()).toEqual([]);
  });

  it('of a load balancer are its addresses or names, at the port of the Service; none until it has one', () => {
    const at = (ingress?: { ip?: string; hostname?: string }[]) =>
      balancerEndpoints(
        service({ spec: {}, status: { loadBalancer: ingress === undefined ? {} : { ingress } } }),
        6432,
      );
    expect(at([{ hostname: 'lb.example' }, { ip: '203.0.113.9' }, { ip: '2001:db8::1', hostname: 'x' }])).toEqual([
      '203.0.113.9:6432',
      '[2001:db8::1]:6432',
      'lb.example:6432',
    ]);
    expect(at()).toEqual([]);
    expect(at([{}])).toEqual([]);
  });
});

describe('an application at the API server', () => {
  let server: ApiServer;
  let api: KubernetesApi;
  beforeEach(async () => {
    server = await ApiServer.open();
    api = openKubernetesApi(server.place);
    server.pods.push(pod('pgbouncer-0', 'a'), pod('pgbouncer-1', 'b'), pod('other-0', 'c', 'other'));
    server.nodes.push(node('a', ['InternalIP', '10.0.0.1']), node('b', ['InternalIP', '10.0.0.2']), node('c'));
  });
  afterEach(async () => {
    api[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });
  const apply = (exposure?: Exposure, port?: number) => applyService(api, wanted(exposure, port), 'pgbouncer-0');
  const endpoints = (exposure?: Exposure) => endpointsOf(api, wanted(exposure));
  const made = () => server.services.get('prod/pgbouncer-service');

  it('has its Service made, as often as it likes', async () => {
    expect([await apply(), await apply()]).toEqual([null, null]);
    expect(made()).toMatchObject(wantedService(wanted(), [owner]));
    expect(await endpoints()).toEqual({ kind: 'known', endpoints: null }); // Each unit says its name and port.
  });

  it('asks nothing to know where it is within the cluster', async () => {
    await endpoints();
    expect(server.asked).toEqual([]);
  });

  it('is reached at the nodes that run it, and no longer once it is not to be', async () => {
    await apply({ kind: 'nodes' });
    const nodePort = made()?.spec?.ports?.[0]?.nodePort;
    expect(await endpoints({ kind: 'nodes' })).toEqual(reached(`10.0.0.1:${nodePort}`, `10.0.0.2:${nodePort}`));
    await apply();
    expect(made()?.spec).toMatchObject({ type: 'ClusterIP', ports: [{ port: 6432 }] });
    expect(await endpoints({ kind: 'nodes' })).toMatchObject({
      kind: 'wait',
      lack: { id: 'node-port', kind: 'waiting' },
    });
  });

  it('is reached at another place for each port where units listen', async () => {
    const both = { ...wanted({ kind: 'nodes' }, 6543), portsBefore: [6432] };
    expect(await applyService(api, both, 'pgbouncer-0')).toBeNull();
    const at = (port: number) => {
      const nodePort = made()?.spec?.ports?.find((one) => one.port === port)?.nodePort;
      return [`10.0.0.1:${nodePort}`, `10.0.0.2:${nodePort}`];
    };
    const found = await endpointsOf(api, both);
    expect(found).toEqual({ kind: 'known', endpoints: new Map([6543, 6432].map((port) => [port, at(port)])) });
    expect(at(6543)).not.toEqual(at(6432));
  });

  it('waits for its load balancer, with the annotations it was given and without those it has no longer', async () => {
    await apply(balancer({ 'example.com/a': '1' }));
    expect(await endpoints(balancer())).toMatchObject({ kind: 'wait', lack: { id: 'load-balancer', kind: 'waiting' } });
    server.giveBalancer('prod', 'pgbouncer-service', { hostname: 'lb.example' });
    await apply(balancer({ 'example.com/b': '2' }), 5432);
    expect(made()?.metadata?.annotations).toEqual({ 'example.com/b': '2' });
    expect(made()?.spec?.ports?.map(({ port }) => port)).toEqual([5432]);
    expect(await endpoints(balancer())).toEqual(reached('lb.example:6432'));
  });

  it('leaves alone what others have written at its Service', async () => {
    await apply();
    const service = made();
    server.services.set('prod/pgbouncer-service', {
      ...service,
      metadata: { ...service?.metadata, annotations: { 'example.com/of-others': 'x' } },
    });
    await apply(balancer({ 'example.com/a': '1' }));
    await apply();
    expect(made()?.metadata?.annotations).toEqual({ 'example.com/of-others': 'x' });
  });

  it.each(['pods', 'services'])('that is not trusted with %s is blocked, and told the command', async (forbidden) => {
    server.may = (_, resource) => resource !== forbidden;
    const lack = await apply();
    expect(lack).toMatchObject({ id: 'kubernetes-refused', kind: 'blocked', on: 'operator' });
    expect(lack?.message).toMatch(
      /^the unit may not .*is forbidden.*; allow it with "juju trust pgbouncer --scope=cluster"$/,
    );
  });

  it('that may not see nodes is told so where it is reached at them', async () => {
    await apply({ kind: 'nodes' });
    server.may = (_, resource) => resource !== 'nodes';
    const found = await endpoints({ kind: 'nodes' });
    expect(found).toMatchObject({ kind: 'wait', lack: { id: 'kubernetes-refused', kind: 'blocked' } });
  });

  it('whose annotations Kubernetes does not take is blocked with its words', async () => {
    const lack = await apply(balancer({ 'a b': 'c' }));
    expect(lack).toMatchObject({ id: 'kubernetes-refused', kind: 'blocked' });
    expect(lack?.message).toContain('is invalid: metadata.annotations');
    expect(made()).toBeUndefined();
  });

  it('reads its token anew, because Kubernetes replaces it', async () => {
    await apply();
    server.token = 'token-2';
    expect(await apply()).toMatchObject({ id: 'kubernetes', kind: 'waiting' });
    server.mountAccount();
    expect(await apply()).toBeNull();
  });

  const unanswered = { id: 'kubernetes', kind: 'waiting', on: 'kubernetes' };
  it('waits for a pod that Kubernetes does not know yet, and while it is busy or speaks nonsense', async () => {
    expect(await applyService(api, wanted(), 'pgbouncer-7')).toMatchObject(unanswered);
    for (const answers of [
      { status: 503, body: '{"kind":"Status","message":"etcd leader changed"}' },
      { status: 500, body: '<html>' },
      { status: 200, body: '{"kind":"Service"}' },
      { status: 200, body: '[]' },
    ]) {
      server.answers = answers;
      expect(await endpoints(balancer())).toMatchObject({ kind: 'wait', lack: unanswered });
    }
  });

  it('waits when nobody answers, and tells nothing to somebody whose certificate is not from the authority of the cluster', async () => {
    server.mountAccount({ ca: otherAuthority });
    expect(await apply()).toMatchObject(unanswered);
    expect(server.asked).toEqual([]);
    using nobody = openKubernetesApi({ ...server.place, port: 1 });
    expect(await applyService(nobody, wanted(), 'pgbouncer-0')).toMatchObject(unanswered);
    using homeless = openKubernetesApi({ ...server.place, account: '/nowhere' });
    expect(await applyService(homeless, wanted(), 'pgbouncer-0')).toMatchObject(unanswered);
  });
});
