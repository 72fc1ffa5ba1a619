/**
 * The packed charm, related to all who watch over applications: logs and traces of its pods arrive, metrics can be read where it says,
 * and it serves all the same.
 */
import { describe, expect, it } from 'vitest';
import { CharmGround, groundParts } from '../support/charm-ground/charm-ground.ts';
import { exporterProgram } from '../support/exporter.ts';
import { grafana, loki, prometheus, tempo } from '../support/juju/watching-charms.ts';
import { LokiServer } from '../support/loki-server.ts';
import { OtlpServer } from '../support/otlp-server.ts';
import { postgresServers, useServer } from '../support/servers.ts';

const application = 'pgbouncer-k8s';
const parts = await groundParts();
const [postgres] = postgresServers();
if (parts.kind === 'missing' || postgres === undefined) {
  it.skip(`the packed charm is not deployed: ${parts.kind === 'missing' ? parts.reason : 'there is no PostgreSQL here'}`, () => {});
} else {
  describe(`the packed charm with PgBouncer ${parts.version}`, () => {
    const server = useServer(() => postgres[1]('own'));

    it('is watched: its logs, metrics, dashboard and traces are where they are looked for', async () => {
      await using logs = await LokiServer.open();
      await using traces = await OtlpServer.open();
      const exporter = await exporterProgram();
      await using ground = await CharmGround.open({ seed: 5, units: 2, server: server(), parts, exporter });
      const { juju } = ground;
      await ground.lead('10.2.0.7', 3100, logs.place);
      await ground.lead('10.2.0.8', 4318, traces.place);
      ground.relateBackend();
      ground.relateClient('app', 'client-v0', [{ database_name: 'orders' }]);
      juju.deploy(
        'loki',
        loki(() => JSON.stringify({ url: 'http://10.2.0.7:3100/loki/api/v1/push' })),
      );
      juju.deploy('tempo', tempo('http://10.2.0.8:4318'));
      juju.deploy('prometheus', prometheus);
      juju.deploy('grafana', grafana);
      juju.integrate(`${application}:logging`, 'loki:logging');
      juju.integrate(`${application}:tracing`, 'tempo:tracing');
      const scraped = juju.integrate(`${application}:metrics-endpoint`, 'prometheus:metrics-endpoint');
      const shown = juju.integrate(`${application}:grafana-dashboard`, 'grafana:grafana-dashboard');
      await ground.settle();
      expect(ground.statuses).toEqual(['active', 'active']);
      expect(juju.history.filter(({ succeeded }) => !succeeded)).toEqual([]);

      const urls: string[] = [];
      for (const unit of ground.units) {
        await logs.until(
          ({ labels }) => labels['juju_unit'] === unit && (labels['pebble_service'] ?? '').startsWith('pgbouncer_'),
        );
        const { prometheus_scrape_unit_address: address = '', prometheus_scrape_unit_name: name } = juju.bag(
          scraped,
          unit,
        );
        expect([name, address]).toEqual([unit, ground.pods.get(unit)?.address]);
        const jobs: { static_configs: { targets: string[] }[] }[] = JSON.parse(
          juju.bag(scraped, application)['scrape_jobs'] ?? '[]',
        );
        const targets = jobs.flatMap((job) => job.static_configs.flatMap((one) => one.targets));
        expect(targets.length).toBeGreaterThanOrEqual(2);
        for (const target of targets) {
          const url = `http://${target.replace('*', address)}/metrics`;
          await expect.poll(() => ground.get(url), { timeout: 10_000 }).toMatch(/^pgbouncer_up 1$/m);
          urls.push(url);
        }
        expect(traces.taken.map(({ resource }) => resource['juju_unit'])).toContain(unit);
      }
      expect(juju.bag(shown, application)).toHaveProperty('dashboards');

      const [login] = await ground.logins('app');
      expect(login === undefined ? null : await ground.query(login, 'select 1')).toBe('1');
      const metrics = await Promise.all(urls.map((url) => ground.get(url)));
      expect(metrics.join('')).toMatch(/^pgbouncer_pools_client_active_connections\{database="orders",/m);
      const told = [...logs.said, ...traces.taken].map(
        (one) => ['what watchers were told', JSON.stringify(one)] as const,
      );
      expect(await ground.secretsSeen([...told, ['metrics', metrics.join('')]])).toEqual([]);
    }, 300_000);
  });
}
