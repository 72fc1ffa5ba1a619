import type { OptionEntry } from '../../pgbouncer/options.ts';

/** Options that only an application on Kubernetes has: of its Service, and of nothing that PgBouncer reads. */
export const exposureOptions: readonly OptionEntry[] = [
  {
    key: 'expose-external',
    kind: { type: 'choice', among: ['false', 'nodeport', 'loadbalancer'] },
    default: 'false',
    own: true,
    help: 'how clients outside of the cluster reach the application: not at all, at a port of the nodes, through a load balancer',
  },
  {
    key: 'loadbalancer-extra-annotations',
    kind: { type: 'text', pattern: /^\s*\{.*\}\s*$/s, what: 'a JSON object of texts' },
    default: '{}',
    own: true,
    help: 'annotations for the load balancer, as its provider asks for them',
  },
];
