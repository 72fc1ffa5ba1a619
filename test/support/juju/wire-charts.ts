/** What stands in bags and secrets when charts of the relations are walked through: rows of the tables in `test/golden/juju`. */
import type { RelationId } from '../../../src/actors/model/ids.ts';
import { Secret } from '../../../src/actors/model/secret.ts';
import type { Databag } from '../../../src/actors/model/snapshot.ts';
import type { Bag } from '../../../src/infra/juju/tools.ts';
import { backendAnswerIn, backendOf, backendRequest } from '../../../src/infra/juju/wire/backend.ts';
import type { ClientRelation } from '../../../src/infra/juju/wire/client-relation.ts';
import { requestIdOf } from '../../../src/infra/juju/wire/client-v1.ts';
import { dashboardBag } from '../../../src/infra/juju/wire/grafana-dashboard.ts';
import { logLabels, logLocationIn } from '../../../src/infra/juju/wire/loki-push-api.ts';
import { askedByPgsql, pgsqlChangesFor, type PgsqlRelation } from '../../../src/infra/juju/wire/pgsql.ts';
import type { AlertRule } from '../../../src/infra/juju/wire/alerts.ts';
import { traceLocationIn, tracingRequest } from '../../../src/infra/juju/wire/tracing.ts';
import { scrapeBag, scrapedUnitBag } from '../../../src/infra/juju/wire/prometheus-scrape.ts';
import { askedBy, changesFor, secretsFor } from '../../../src/infra/juju/wire/postgresql-client.ts';
import { relationIdOf } from '../../../src/infra/juju/wire/relation-id.ts';
import type { Chart, Row } from './golden-table.ts';
import { ancestorIn, ancestorSecretLabel, authFileIn, credentialsIn } from '../../../src/infra/juju/wire/taken-over.ts';

const endpoint = 'pgbouncer-service.shop.svc.cluster.local:6432';

/** Our side of a client, as the fleet publishes it. */
export const databagOf = (database: string, username: string, { readable = true } = {}): Databag => {
  const uri = (name: string) => new Secret(`postgresql://${username}:<password>@${endpoint}/${name}`);
  return {
    database,
    endpoints: endpoint,
    username,
    password: new Secret('<password>'),
    tls: 'False',
    uris: uri(database),
    ...(readable ? { 'read-only-endpoints': endpoint, 'read-only-uris': uri(`${database}_readonly`) } : {}),
    version: '16.9',
  };
};

/** A provider with all of its state: what it wrote, and the secrets that it keeps. */
export class Provider {
  ours: Bag = {};
  readonly secrets = new Map<string, Readonly<Record<string, string>>>();
  readonly #relation: Omit<ClientRelation, 'theirs' | 'ours'>;
  constructor(relation: Partial<Omit<ClientRelation, 'theirs' | 'ours'>> = {}) {
    this.#relation = { endpoint: 'database', id: 7, hasSecrets: true, ...relation };
  }

  relation(theirs: Bag, theirUnits: readonly Bag[] = []): ClientRelation {
    return { ...this.#relation, theirs, ours: this.ours, theirUnits };
  }

  /** One dispatch of the leader; tells what it wrote. `served` names the logins of requests that are served by now. */
  dispatch(theirs: Bag, served: Readonly<Record<number, Databag>> = {}, theirUnits: readonly Bag[] = []): Bag {
    const relation = this.relation(theirs, theirUnits);
    const answers = new Map(Object.entries(served).map(([id, databag]) => [Number(id) as RelationId, databag]));
    const { wanted, unwanted } = secretsFor(relation, answers);
    for (const { label, content } of wanted)
      this.secrets.set(label, Object.fromEntries(Object.entries(content).map(([key, value]) => [key, value.reveal()])));
    const uris = new Map(wanted.map(({ label }) => [label, `secret:of-${label.replaceAll('.', '-')}`]));
    const changes = changesFor(relation, answers, uris);
    for (const label of unwanted) this.secrets.delete(label);
    this.ours = written(this.ours, changes);
    return changes;
  }

  rows(when: string): readonly Row[] {
    return [
      ...bagRows(`${when}: our application bag`, this.ours),
      ...[...this.secrets].flatMap(([label, content]) => bagRows(`${when}: secret ${label}`, content)),
    ];
  }
}

export const written = (before: Bag, changes: Bag): Bag =>
  Object.fromEntries(Object.entries({ ...before, ...changes }).filter(([, value]) => value !== ''));

const bagRows = (at: string, bag: Bag): readonly Row[] =>
  Object.keys(bag)
    .toSorted()
    .map((key): Row => [at, key, bag[key] === '' ? '(empty)' : (bag[key] ?? '')]);

const refusalRows = (when: string, refusals: readonly { readonly reason: string }[]): readonly Row[] =>
  refusals.map(({ reason }): Row => [`${when}: our status`, 'message', reason]);

export const requestedSecrets =
  '["username","password","tls","tls-ca","uris","read-only-uris","entity-name","entity-password"]';

const v0Client = {
  database: 'orders',
  'extra-user-roles': 'CREATEDB',
  'requested-secrets': requestedSecrets,
  'provided-secrets': '["mtls-cert"]',
};

const clientV0 = (): readonly Row[] => {
  const provider = new Provider();
  provider.dispatch(v0Client);
  const before = provider.rows('requested, not served yet');
  provider.dispatch(v0Client, { 7: databagOf('orders', 'pgbouncer_orders_7') });
  return [...before, ...provider.rows('served')];
};

const clientV0Plain = (): readonly Row[] => {
  const provider = new Provider();
  provider.dispatch({ database: 'orders' }, { 7: databagOf('orders', 'pgbouncer_orders_7') });
  return provider.rows('served');
};

export const v1Request = (resource: string, salt: string, more: Readonly<Record<string, unknown>> = {}) => ({
  resource,
  'request-id': requestIdOf(resource, salt),
  salt,
  'extra-user-roles': null,
  'extra-group-roles': null,
  'external-node-connectivity': false,
  'entity-type': null,
  'entity-permissions': null,
  'secret-mtls': null,
  'mtls-cert': null,
  'secret-requested-entity': null,
  'entity-name': null,
  password: null,
  'prefix-matching': null,
  'entity-password': null,
  ...more,
});
export const v1Bag = (...requests: readonly unknown[]): Bag => ({ version: 'v1', requests: JSON.stringify(requests) });

const clientV1 = (): readonly Row[] => {
  const provider = new Provider();
  const [orders, stock] = [
    v1Request('orders', 'salt1', { 'extra-user-roles': 'CREATEDB' }),
    v1Request('stock', 'salt2'),
  ];
  const [first, second] = [orders, stock].map((request) => relationIdOf(7, request['request-id']));
  const answers = {
    [first ?? 0]: databagOf('orders', 'pgbouncer_orders_1'),
    [second ?? 0]: databagOf('stock', 'pgbouncer_orders_2', { readable: false }),
  };
  provider.dispatch(v1Bag(orders, stock), answers);
  const both = provider.rows('both served');
  provider.dispatch(v1Bag(stock), answers);
  return [...both, ...provider.rows('first withdrawn')];
};

const clientTurns = (): readonly Row[] => {
  const provider = new Provider();
  provider.dispatch(v0Client, { 7: databagOf('orders', 'pgbouncer_orders_7') });
  const request = v1Request('orders', 'salt1');
  provider.dispatch(v1Bag(request));
  const turned = provider.rows('turned to v1');
  const answers = { [relationIdOf(7, request['request-id'])]: databagOf('orders', 'pgbouncer_orders_9') };
  provider.dispatch(v1Bag(request), answers);
  return [...turned, ...provider.rows('served in v1')];
};

const clientRefused = (): readonly Row[] => {
  const entity = { ...v0Client, 'entity-type': 'USER' };
  const superuser = { ...v0Client, 'extra-user-roles': 'SUPERUSER' };
  const changed = { ...v0Client, 'extra-user-roles': 'CREATEDB,CREATEROLE' };
  const other = { ...v0Client, version: 'v2' };
  const cases: readonly (readonly [string, Bag, boolean])[] = [
    ['entity', entity, false],
    ['superuser', superuser, false],
    ['roles changed later', changed, true],
    ['version v2', other, true],
  ];
  return cases.flatMap(([when, theirs, wasServed]) => {
    const provider = new Provider();
    if (wasServed) provider.dispatch(v0Client, { 7: databagOf('orders', 'pgbouncer_orders_7') });
    const served = provider.ours;
    const changes = provider.dispatch(theirs, wasServed ? { 7: databagOf('orders', 'pgbouncer_orders_7') } : {});
    const kept = Object.keys(served).every((key) => provider.ours[key] === served[key]);
    return [
      ...bagRows(`${when}: written to our application bag`, changes),
      ...(wasServed ? [[`${when}: what was answered`, 'everything', kept ? 'as it was' : 'changed'] as const] : []),
      ...refusalRows(when, askedBy(provider.relation(theirs)).refusals),
    ];
  });
};

export const pgsqlRelation = (more: Partial<PgsqlRelation> = {}): PgsqlRelation => ({
  endpoint: 'db',
  id: 9,
  remoteApplication: 'shop',
  theirs: {
    application: { database: 'orders' },
    units: {
      'shop/0': { database: 'orders', 'egress-subnets': '10.1.0.5/32' },
      'shop/1': { 'egress-subnets': '10.1.0.6/32,10.1.0.7/32' },
    },
  },
  ours: {},
  ...more,
});

const legacy = (): readonly Row[] => {
  const relation = pgsqlRelation();
  const extended = pgsqlRelation({ theirs: { application: { database: 'orders', extensions: 'citext' }, units: {} } });
  const admin = askedByPgsql(pgsqlRelation({ endpoint: 'db-admin' }));
  const changes = pgsqlChangesFor(relation, databagOf('orders', 'pgbouncer_shop_9'));
  return [
    ...bagRows('db, served: our application bag', changes),
    ...bagRows("db, served: each unit's own bag", changes),
    ['db-admin: its login', 'extra roles', admin.requests[0]?.extraUserRoles.join(',') ?? ''],
    ...bagRows('db, extensions: written to our bags', pgsqlChangesFor(extended, undefined)),
    ...refusalRows('db, extensions', askedByPgsql(extended).refusals),
  ];
};

export const backendRelation = { endpoint: 'backend-database', id: 3 };

const backend = (): readonly Row[] => {
  const ours = backendRequest({}, 'salt0123456789ab');
  const begun = { database: 'pgbouncer', 'extra-user-roles': 'SUPERUSER', 'requested-secrets': requestedSecrets };
  const v0Answer = { database: 'pgbouncer', endpoints: 'pg-primary:5432', 'read-only-endpoints': 'pg-replicas:5432' };
  const flat = { ...v0Answer, 'secret-user': 'secret:user0', 'secret-tls': 'secret://model/tls0', version: '16.9' };
  const id = requestIdOf('pgbouncer', 'salt0123456789ab');
  const response = {
    resource: 'pgbouncer',
    'request-id': id,
    endpoints: 'pg-primary:5432',
    'secret-user': 'secret:u1',
  };
  const answers: readonly (readonly [string, Bag])[] = [
    ['nothing yet', {}],
    ['login, no address', { 'secret-user': 'secret:user0' }],
    ['v0 in plain', { ...v0Answer, username: 'relation_id_3', password: '<password>', tls: 'False' }],
    ['v0 with secrets', flat],
    ['v1', { version: 'v1', data: JSON.stringify({ [id]: {} }), requests: JSON.stringify([response]) }],
  ];
  const contents = {
    user: { username: new Secret('relation_id_3'), password: new Secret('<password>') },
    tls: { tls: new Secret('true'), 'tls-ca': new Secret('<ca>') },
  };
  return [
    ...bagRows('created: our application bag', ours),
    ...bagRows('refreshed from the ancestor: added to our application bag', backendRequest(begun, 'salt')),
    ...answers.flatMap(([when, theirs]): readonly Row[] => {
      const answer = backendAnswerIn({ ...backendRelation, theirs, ours });
      const named = answer.kind === 'waiting' ? [] : Object.entries(answer.secrets);
      const reading = backendOf(backendRelation, answer, contents);
      return [
        ...named.map(([group, { uri, label }]): Row => [`${when}: secret ${group}`, uri, label]),
        ...(reading.kind === 'found'
          ? Object.entries(reading.backend).map(([key, value]): Row => [`${when}: the backend`, key, shown(value)])
          : [[`${when}: our status`, 'message', reading.reason] as const]),
      ];
    }),
  ];
};

const shown = (value: unknown): string =>
  value instanceof Secret ? value.reveal() : typeof value === 'string' ? value : JSON.stringify(value);

const ancestor = (): readonly Row[] => {
  const peers = {
    pgb_dbs_config:
      '{"9": {"name": "legacy", "legacy": true}, "7": {"name": "orders", "legacy": false}, "*": {"name": "*", "auth_dbname": "orders", "legacy": false}}',
    current_port: '6432',
    readonly_dbs: '[]',
  };
  const found = ancestorIn(peers);
  const authFile = authFileIn({ 'auth-file': new Secret('"pgbouncer_auth_relation_id_3" "<verifier>"') });
  const user = { username: new Secret('relation_id_7'), password: new Secret('<password>') };
  const credentials = [
    ['v0, secret', credentialsIn({ 'secret-user': 'secret:user7', database: 'orders' }, user)],
    ['v0, plain', credentialsIn({ username: 'relation_id_7', password: '<password>' }, null)],
    ['legacy', credentialsIn({ user: 'pgbouncer_user_9_shop', password: '<password>' }, null)],
  ] as const;
  return [
    ...(found?.databases ?? []).map(
      ({ relation, name, legacy: isLegacy }): Row => [
        'peers: pgb_dbs_config',
        String(relation),
        `${name}${isLegacy ? ' (legacy)' : ''}`,
      ],
    ),
    ['peers: pgb_dbs_config', '*', String(found?.wildcard)],
    ['peers: current_port', 'port', String(found?.port)],
    ...[...authFile].map(
      ([name, secret]): Row => [`secret ${ancestorSecretLabel('pgbouncer')}: auth-file`, name, secret.reveal()],
    ),
    ...credentials.map(
      ([where, its]): Row => [`login taken over: ${where}`, its?.username ?? '', its?.password.reveal() ?? ''],
    ),
  ];
};

const watched = {
  model: 'shop',
  modelUuid: '9a3c0ee2-2d9b-4b6f-8b52-6d7e5f7f0a11',
  application: 'pgbouncer',
  unit: 'pgbouncer/0',
};

const watchers = (): readonly Row[] => {
  const endpoint = { endpoint: '{"url": "http://10.1.0.9:3100/loki/api/v1/push"}' };
  const { alert_rules: rulesText = '', ...scraped } = scrapeBag(watched, { instances: 2, firstPort: 9127 });
  const grpc = { protocol: { name: 'otlp_grpc', type: 'grpc' }, url: 'tempo.shop:4317' };
  const http = { protocol: { name: 'otlp_http', type: 'http' }, url: 'http://tempo.shop:4318' };
  const shown: { templates: Record<string, Record<string, unknown>> } = JSON.parse(dashboardBag()['dashboards'] ?? '');
  const alerts: { groups: { name: string; rules: AlertRule[] }[] } = JSON.parse(rulesText);
  return [
    ['logging: a log target in the workload', 'location', String(logLocationIn(endpoint))],
    ...bagRows('logging: labels of each line', logLabels(watched)),
    ...bagRows('metrics-endpoint: our application bag', scraped),
    ...alerts.groups.flatMap(({ name, rules }) =>
      rules.map(({ alert, expr }): Row => [`metrics-endpoint: alert_rules, ${name}`, alert, expr]),
    ),
    ...bagRows(
      "metrics-endpoint: each unit's own bag",
      scrapedUnitBag({
        unit: 'pgbouncer/0',
        address: '10.1.0.5',
        fqdn: 'pgbouncer-0.pgbouncer-endpoints.shop.svc.cluster.local',
      }),
    ),
    ...bagRows('tracing: our application bag', tracingRequest),
    ['tracing: where traces go', 'url', String(traceLocationIn({ receivers: JSON.stringify([grpc, http]) }))],
    ...Object.entries(shown.templates).flatMap(([name, { content, ...template }]) =>
      Object.entries({ ...template, content: `${String(content).slice(0, 8)}…` }).map(
        ([key, value]): Row => [
          `grafana-dashboard: dashboards, ${name}`,
          key,
          typeof value === 'string' ? value : JSON.stringify(value),
        ],
      ),
    ),
  ];
};

export const wireCharts = (): readonly Chart[] => [
  { file: 'client-v0.md', rows: clientV0() },
  { file: 'client-v0-without-secrets.md', rows: clientV0Plain() },
  { file: 'client-v1.md', rows: clientV1() },
  { file: 'client-turns-from-v0-to-v1.md', rows: clientTurns() },
  { file: 'client-refused.md', rows: clientRefused() },
  { file: 'legacy-client.md', rows: legacy() },
  { file: 'backend.md', rows: backend() },
  { file: 'refreshed-from-the-ancestor.md', rows: ancestor() },
  { file: 'watchers.md', rows: watchers() },
];
