/**
 * What PgBouncers look like in Grafana. Variables of Juju's words and of data sources are put into it by whoever takes dashboards of
 * charms; that of databases is its own.
 */
import { charmName } from './topology.ts';

/** Counts up with each change of what is shown: of two with one uid Grafana's charm keeps the higher. */
const version = 1;

const prometheus = { type: 'prometheus', uid: '${prometheusds}' };
const application = ['juju_model', 'juju_model_uuid', 'juju_application', 'juju_unit']
  .map((name) => `${name}=~"$${name}"`)
  .join(',');
const pool = `${application},database=~"$database"`;

interface Line {
  readonly expr: string;
  readonly legend: string;
}
interface Panel {
  readonly title: string;
  readonly description: string;
  /** As Grafana names it. */
  readonly unit: string;
  readonly lines: readonly Line[];
}

const pools = (metric: string, legend: string): Line => ({
  expr: `sum(pgbouncer_pools_${metric}{${pool}})`,
  legend,
});
const rate = (metric: string): string =>
  `sum by (database) (rate(pgbouncer_stats_totals_${metric}{${pool}}[$__rate_interval]))`;
const ratio = (over: string, under: string): Line => ({
  expr: `${rate(over)} / ${rate(under)}`,
  legend: '{{database}}',
});

const numbers: readonly Panel[] = [
  {
    title: 'PgBouncers that answer',
    description: 'Instances whose console answers who reads metrics.',
    unit: 'none',
    lines: [{ expr: `sum(pgbouncer_up{${application}})`, legend: '' }],
  },
  {
    title: 'Clients',
    description: 'Connected, and those of them that wait for a connection of a pool.',
    unit: 'none',
    lines: [pools('client_active_connections', 'active'), pools('client_waiting_connections', 'waiting')],
  },
  {
    title: 'Longest wait',
    description: 'How long the first of those that wait has been waiting.',
    unit: 's',
    lines: [{ expr: `max(pgbouncer_pools_client_maxwait_seconds{${pool}})`, legend: '' }],
  },
  {
    title: 'Client slots in use',
    description: 'Of the PgBouncer that has the fewest left, as part of max_client_conn.',
    unit: 'percentunit',
    lines: [
      {
        expr: `max(pgbouncer_used_clients{${application}} / pgbouncer_config_max_client_connections{${application}})`,
        legend: '',
      },
    ],
  },
];

const graphs: readonly Panel[] = [
  {
    title: 'Clients',
    description: 'Clients that are linked to a connection or idle, and those that wait for one.',
    unit: 'none',
    lines: [pools('client_active_connections', 'active'), pools('client_waiting_connections', 'waiting')],
  },
  {
    title: 'Server connections',
    description: 'Connections to PostgreSQL by what they are doing.',
    unit: 'none',
    lines: [
      pools('server_active_connections', 'active'),
      pools('server_idle_connections', 'idle'),
      pools('server_used_connections', 'used, to be checked'),
      pools('server_testing_connections', 'being reset or checked'),
      pools('server_login_connections', 'logging in'),
    ],
  },
  {
    title: 'Longest wait',
    description: 'How long the first client that waits has been waiting, by database.',
    unit: 's',
    lines: [{ expr: `max by (database) (pgbouncer_pools_client_maxwait_seconds{${pool}})`, legend: '{{database}}' }],
  },
  {
    title: 'Time waited',
    description: 'What all clients together wait for a connection, in seconds of each second.',
    unit: 's',
    lines: [{ expr: rate('client_wait_seconds_total'), legend: '{{database}}' }],
  },
  {
    title: 'Transactions',
    description: 'Transactions per second, by database.',
    unit: 'ops',
    lines: [{ expr: rate('sql_transactions_pooled_total'), legend: '{{database}}' }],
  },
  {
    title: 'Queries',
    description: 'Queries per second, by database.',
    unit: 'ops',
    lines: [{ expr: rate('queries_pooled_total'), legend: '{{database}}' }],
  },
  {
    title: 'Time of a query',
    description: 'Mean over all queries, by database.',
    unit: 's',
    lines: [ratio('queries_duration_seconds_total', 'queries_pooled_total')],
  },
  {
    title: 'Time of a transaction',
    description: 'Mean over all transactions, waits of the client in between included, by database.',
    unit: 's',
    lines: [ratio('server_in_transaction_seconds_total', 'sql_transactions_pooled_total')],
  },
  {
    title: 'Connections of a database',
    description: 'Open to PostgreSQL for each database that clients see, on all units together.',
    unit: 'none',
    lines: [
      {
        expr: `sum by (name) (pgbouncer_databases_current_connections{${application},name=~"$database"})`,
        legend: '{{name}}',
      },
    ],
  },
  {
    title: 'Pools of a unit',
    description: 'Server connections in use, by unit and PgBouncer: whether work is shared evenly.',
    unit: 'none',
    lines: [
      {
        expr: `sum by (juju_unit, pgbouncer) (pgbouncer_pools_server_active_connections{${pool}})`,
        legend: '{{juju_unit}} {{pgbouncer}}',
      },
    ],
  },
  {
    title: 'Received from clients',
    description: 'Bytes per second, by database.',
    unit: 'Bps',
    lines: [{ expr: rate('received_bytes_total'), legend: '{{database}}' }],
  },
  {
    title: 'Sent to clients',
    description: 'Bytes per second, by database.',
    unit: 'Bps',
    lines: [{ expr: rate('sent_bytes_total'), legend: '{{database}}' }],
  },
];

/** Of 24 columns. */
const [numberWidth, numberHeight] = [6, 4];
const [graphWidth, graphHeight] = [12, 8];

const panelOf = (type: 'stat' | 'timeseries', { title, description, unit, lines }: Panel) => ({
  type,
  title,
  description,
  datasource: prometheus,
  fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
  targets: lines.map(({ expr, legend }, index) => ({
    refId: String.fromCodePoint(65 + index),
    datasource: prometheus,
    expr,
    legendFormat: legend,
  })),
});

const placed = <P extends object>(panels: readonly P[], width: number, height: number, below: number) =>
  panels.map((panel, index) => {
    const x = (index * width) % 24;
    return { ...panel, gridPos: { w: width, h: height, x, y: below + Math.floor((index * width) / 24) * height } };
  });

const databases = `label_values(pgbouncer_pools_client_active_connections{${application}},database)`;

/** In Grafana's own words. */
export const dashboard = () => ({
  uid: 'troupe-pgbouncer',
  title: 'PgBouncer',
  version,
  schemaVersion: 39,
  editable: true,
  tags: [`charm: ${charmName}`],
  refresh: '30s',
  time: { from: 'now-1h', to: 'now' },
  templating: {
    list: [
      {
        name: 'database',
        label: 'Database',
        type: 'query',
        datasource: prometheus,
        definition: databases,
        query: { query: databases, refId: 'StandardVariableQuery' },
        multi: true,
        includeAll: true,
        allValue: '.*',
        current: { text: ['All'], value: ['$__all'] },
        refresh: 2,
        sort: 1,
      },
    ],
  },
  panels: [
    ...placed(
      numbers.map((panel) => panelOf('stat', panel)),
      numberWidth,
      numberHeight,
      0,
    ),
    ...placed(
      graphs.map((panel) => panelOf('timeseries', panel)),
      graphWidth,
      graphHeight,
      numberHeight,
    ),
  ].map((panel, index) => ({ id: index + 1, ...panel })),
});
