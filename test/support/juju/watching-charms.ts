/** Charms of those who watch over an application, as far as they tell it something or have to be told. */
import { dispatchedBy } from '../../../src/infra/juju/environment.ts';
import { type Charm, scriptedCharm } from './charm.ts';

/** Its units tell where they take logs: whatever `told` says. */
export const loki = (told: (unit: string) => string): Charm =>
  scriptedCharm(
    { name: 'loki', provides: { logging: { interface: 'loki_push_api' } } },
    async ({ environment, tools }) => {
      const { event, unit } = dispatchedBy(environment);
      if (!('relation' in event) || event.type === 'relationBroken') return;
      await tools.writeBag(event.relation, 'unit', { endpoint: told(unit) });
    },
  );

/** Its leader tells where it takes traces once somebody has asked for a way that it has. */
export const tempo = (url: string): Charm =>
  scriptedCharm({ name: 'tempo', provides: { tracing: { interface: 'tracing' } } }, async ({ environment, tools }) => {
    const { event } = dispatchedBy(environment);
    if (!('relation' in event) || event.type === 'relationBroken' || !(await tools.isLeader())) return;
    const theirs = await tools.readBag(event.relation, event.remoteApplication ?? '', 'application');
    if (theirs?.['receivers'] !== '["otlp_http"]') return;
    const receivers = [
      { protocol: { name: 'otlp_grpc', type: 'grpc' }, url: 'tempo:4317' },
      { protocol: { name: 'otlp_http', type: 'http' }, url },
    ];
    await tools.writeBag(event.relation, 'application', { receivers: JSON.stringify(receivers) });
  });

export const prometheus = scriptedCharm({
  name: 'prometheus',
  requires: { 'metrics-endpoint': { interface: 'prometheus_scrape' } },
});

export const grafana = scriptedCharm({
  name: 'grafana',
  requires: { 'grafana-dashboard': { interface: 'grafana_dashboard' } },
});
