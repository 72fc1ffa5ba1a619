/** When somebody should look at PgBouncer, in PromQL over what its exporter tells. */

interface Alert {
  readonly alert: string;
  readonly expr: (of: string) => string;
  /** How long it has to be so. */
  readonly during: string;
  readonly severity: 'warning' | 'critical';
  readonly summary: string;
  readonly description: string;
}

export interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: { readonly summary: string; readonly description: string };
}

const alerts: readonly Alert[] = [
  {
    alert: 'PgBouncerDown',
    expr: (of) => `pgbouncer_up{${of}} == 0`,
    during: '1m',
    severity: 'critical',
    summary: 'PgBouncer {{ $labels.pgbouncer }} of {{ $labels.juju_unit }} does not answer',
    description:
      'Its console does not answer who reads its metrics. The action status of the unit tells what it lacks.',
  },
  {
    alert: 'PgBouncerMetricsMissing',
    expr: (of) => `up{${of}} == 0`,
    during: '5m',
    severity: 'warning',
    summary: 'Metrics of PgBouncer {{ $labels.pgbouncer }} of {{ $labels.juju_unit }} cannot be read',
    description: 'Its exporter does not answer: the unit is away, or the exporter does not run.',
  },
  {
    alert: 'PgBouncerClientsWait',
    expr: (of) => `max by (juju_unit, pgbouncer, database, user) (pgbouncer_pools_client_maxwait_seconds{${of}}) > 5`,
    during: '1m',
    severity: 'warning',
    summary: 'Clients of {{ $labels.database }} wait for {{ $value }} s on {{ $labels.juju_unit }}',
    description:
      'All connections of the pool are in use, or PostgreSQL gives none. Look for long transactions, or give the pool more connections.',
  },
  {
    alert: 'PgBouncerPoolSaturated',
    expr: (of) =>
      [
        `sum by (juju_unit, pgbouncer, database, user) (pgbouncer_pools_client_waiting_connections{${of}}) > 0`,
        `sum by (juju_unit, pgbouncer, database, user) (pgbouncer_pools_server_idle_connections{${of}}) == 0`,
      ].join(' and '),
    during: '5m',
    severity: 'warning',
    summary: 'The pool of {{ $labels.database }} on {{ $labels.juju_unit }} is used up',
    description: 'For five minutes there were always clients that waited and no connection that was free.',
  },
  {
    alert: 'PgBouncerClientLimitNear',
    expr: (of) => `pgbouncer_used_clients{${of}} / (pgbouncer_config_max_client_connections{${of}} > 0) > 0.9`,
    during: '5m',
    severity: 'warning',
    summary: '{{ $labels.juju_unit }} has nearly as many clients as it takes',
    description: 'PgBouncer {{ $labels.pgbouncer }} refuses new clients at max_client_conn. Add units, or raise it.',
  },
];

/** `labels`: of the application; they are also what its metrics are found by. */
export const alertsOf = (labels: Readonly<Record<string, string>>): readonly AlertRule[] => {
  // Who scrapes puts the same ones there, but for the charm, which an application that is scraped through another one may have two of.
  const { juju_charm: _, ...found } = labels;
  const of = Object.entries(found)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',');
  return alerts.map(({ alert, expr, during, severity, summary, description }) => ({
    alert,
    expr: expr(of),
    for: during,
    labels: { severity, ...labels },
    annotations: { summary, description },
  }));
};
