import { expect, it } from 'vitest';
import type { Application, UnitName } from '../../src/actors/model/ids.ts';
import { openKubernetesApi } from '../../src/infra/kubernetes/api.ts';
import { makeService } from '../../src/programs/charm-service.ts';
import { ApiServer } from '../support/kubernetes/api-server.ts';

it('keeps the Service at the ports where units say they listen, until all of them say the one that is asked for', async () => {
  await using cluster = await ApiServer.open();
  cluster.pods.push({
    metadata: {
      name: 'pgbouncer-0',
      namespace: 'prod',
      labels: { 'app.kubernetes.io/name': 'pgbouncer' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'pgbouncer', uid: 'b7e1', controller: true },
      ],
    },
    spec: { nodeName: 'n1', containers: [] },
  });
  using api = openKubernetesApi(cluster.place);
  const portsWhile = async (served: readonly string[], applied: string | null) => {
    const made = await makeService(api, {
      application: 'pgbouncer' as Application,
      model: 'prod',
      unit: 'pgbouncer/0' as UnitName,
      config: { listen_port: 6543 },
      served,
      applied,
      looksAgain: false,
    });
    expect(made.lacks).toEqual([]);
    const ports = [...cluster.services.values()].flatMap(({ spec }) => spec?.ports ?? []).map(({ port }) => port);
    return { ports, applied: made.applied };
  };
  const moving = await portsWhile(['pooler:6432', 'pooler:6543', 'pooler:6432'], null);
  expect(moving.ports).toEqual([6543, 6432]);
  expect((await portsWhile(['pooler:6543', 'pooler:6543'], moving.applied)).ports).toEqual([6543]);
  // Whatever a bag says, Kubernetes is asked for nothing that it would refuse.
  const damaged = ['pooler', 'pooler:', 'pooler:0', 'pooler:65536', '[::1]', 'pooler:x', 'pooler:6432'];
  expect((await portsWhile(damaged, null)).ports).toEqual([6543, 6432]);
});
