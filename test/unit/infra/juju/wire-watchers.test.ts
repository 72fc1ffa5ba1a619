import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parse } from 'yaml';
import { describe, expect, it } from 'vitest';
import { alertsOf } from '../../../../src/infra/juju/wire/alerts.ts';
import { dashboard } from '../../../../src/infra/juju/wire/dashboard.ts';
import { logLocationIn } from '../../../../src/infra/juju/wire/loki-push-api.ts';
import { traceLocationIn } from '../../../../src/infra/juju/wire/tracing.ts';
import { charmName } from '../../../../src/infra/juju/wire/topology.ts';

describe('who this charm is to those who watch', () => {
  it('is what its metadata says', () => {
    expect(charmName).toBe(parse(readFileSync('deploy/charm/metadata.yaml', 'utf8')).name);
  });
});

describe('where a unit of Loki takes logs', () => {
  it('is a URL of the web, in JSON', () => {
    const url = 'https://loki.example:3100/loki/api/v1/push';
    expect(logLocationIn({ endpoint: JSON.stringify({ url, more: 1 }) })).toBe(url);
  });

  it.each([
    ['a URL of something else', '{"url": "file:///etc/passwd"}'],
    ['no URL', '{"url": "loki"}'],
    ['a URL without JSON', 'http://loki:3100/loki/api/v1/push'],
    ['a very long URL', JSON.stringify({ url: `http://loki/${'x'.repeat(3_000)}` })],
    ['no text', '{"url": ["http://loki"]}'],
    ['nothing', ''],
  ])('is not told by %s', (_, endpoint) => {
    expect(logLocationIn({ endpoint })).toBeNull();
  });

  it('is one line without blanks, or not told, whatever stands there', () => {
    const url = fc.oneof(fc.webUrl({ withQueryParameters: true, withFragments: true }), fc.string({ unit: 'binary' }));
    const endpoint = fc.oneof(
      url.map((text) => JSON.stringify({ url: text })),
      fc.json(),
      fc.string(),
    );
    fc.assert(
      fc.property(endpoint, (text) => {
        expect(logLocationIn({ endpoint: text }) ?? 'http://none').toMatch(/^https?:\/\/\S+$/);
      }),
    );
  });
});

describe('where traces are taken', () => {
  const http = (url: unknown) => ({ protocol: { name: 'otlp_http', type: 'http' }, url });

  it.each([
    ['http://tempo:4318', 'http://tempo:4318/v1/traces'],
    ['https://tempo.example/model-tempo-0/', 'https://tempo.example/model-tempo-0/v1/traces'],
  ])('is below the URL of the one way we speak: %s', (url, expected) => {
    const grpc = { protocol: { name: 'otlp_grpc', type: 'grpc' }, url: 'tempo:4317' };
    expect(traceLocationIn({ receivers: JSON.stringify([grpc, 7, http('tempo:4318'), http(url)]) })).toBe(expected);
  });

  it.each([
    ['another way alone', [{ protocol: { name: 'zipkin', type: 'http' }, url: 'http://tempo:9411' }]],
    ['no URL', [http('tempo')]],
    ['no list', http('http://tempo:4318')],
    ['nothing', []],
  ])('is not told by %s', (_, receivers) => {
    expect(traceLocationIn({ receivers: JSON.stringify(receivers) })).toBeNull();
  });

  it('is a URL or not told, whatever stands there', () => {
    const url = fc.oneof(fc.webUrl({ withQueryParameters: true }), fc.string({ unit: 'binary' }), fc.jsonValue());
    const receivers = fc.oneof(
      fc.array(url.map(http)).map((all) => JSON.stringify(all)),
      fc.json(),
      fc.string(),
    );
    fc.assert(
      fc.property(receivers, (text) => {
        expect(traceLocationIn({ receivers: text }) ?? 'http://none').toMatch(/^https?:\/\/\S+$/);
      }),
    );
  });
});

/** Of what `pgbouncer_exporter` 0.12 tells, what is worth a look. */
const told: ReadonlySet<string> = new Set([
  'up',
  'pgbouncer_up',
  'pgbouncer_used_clients',
  'pgbouncer_config_max_client_connections',
  'pgbouncer_databases_current_connections',
  ...['active', 'waiting'].map((state) => `pgbouncer_pools_client_${state}_connections`),
  'pgbouncer_pools_client_maxwait_seconds',
  ...['active', 'idle', 'used', 'testing', 'login'].map((state) => `pgbouncer_pools_server_${state}_connections`),
  ...['queries_pooled', 'sql_transactions_pooled', 'client_wait_seconds', 'queries_duration_seconds']
    .concat(['server_in_transaction_seconds', 'received_bytes', 'sent_bytes'])
    .map((what) => `pgbouncer_stats_totals_${what}_total`),
]);
const metricsIn = (expr: string): readonly string[] => [...expr.matchAll(/\b(\w+)\{/g)].map(([, name]) => name ?? '');

describe('alerts', () => {
  it('are about metrics that there are, of this application and no other', () => {
    const labels = { juju_model: 'shop', juju_model_uuid: 'u', juju_application: 'p"g', juju_charm: charmName };
    const rules = alertsOf(labels);
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { expr, labels: carried } of rules) {
      expect(metricsIn(expr).filter((name) => !told.has(name))).toEqual([]);
      const selectors = [...expr.matchAll(/\{([^}]*)\}/g)].map(([, selector]) => selector);
      expect([...new Set(selectors)]).toEqual(['juju_model="shop",juju_model_uuid="u",juju_application="p\\"g"']);
      expect(carried).toMatchObject(labels);
    }
  });
});

describe('the dashboard', () => {
  const { panels } = dashboard();

  it('shows metrics that there are, of what is chosen', () => {
    const exprs = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(exprs.length).toBeGreaterThan(15);
    for (const expr of exprs) {
      expect(metricsIn(expr)).not.toEqual([]);
      expect(metricsIn(expr).filter((name) => !told.has(name))).toEqual([]);
      for (const [, selector] of expr.matchAll(/\{([^}]*)\}/g))
        for (const name of ['juju_model', 'juju_model_uuid', 'juju_application', 'juju_unit'])
          expect(selector).toContain(`${name}=~"$${name}"`);
    }
  });

  it('has each panel in a place of its own', () => {
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)} ${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(Math.max(...panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24);
  });
});
