/**
 * The provider's side of the interface `prometheus_scrape`: our application bag says which ports of every unit metrics are read at,
 * and when to raise an alarm; each unit bag says where that unit is.
 */
import type { Bag } from '../tools.ts';
import { alertsOf } from './alerts.ts';
import { applicationLabels, charmName, identifierOf, type Topology } from './topology.ts';

/** `instances`: how many there are of PgBouncer on every unit; `firstPort`: of the first one's metrics. */
export const scrapeBag = (
  topology: Topology,
  { instances, firstPort }: { readonly instances: number; readonly firstPort: number },
): Bag => {
  const { model, modelUuid, application } = topology;
  const jobs = Array.from({ length: instances }, (_, index) => ({
    // One that scraped all of them would tell their metrics apart by nothing: their address is replaced by the name of their unit.
    job_name: `pgbouncer_${index + 1}`,
    metrics_path: '/metrics',
    static_configs: [{ targets: [`*:${firstPort + index}`], labels: { pgbouncer: String(index + 1) } }],
  }));
  return {
    scrape_metadata: JSON.stringify({ model, model_uuid: modelUuid, application, charm_name: charmName }),
    scrape_jobs: JSON.stringify(jobs),
    alert_rules: JSON.stringify({
      groups: [{ name: `${identifierOf(topology)}_pgbouncer`, rules: alertsOf(applicationLabels(topology)) }],
    }),
  };
};

export interface ScrapedUnit {
  readonly unit: string;
  /** Of its pod. */
  readonly address: string;
  /** The name that it keeps when the pod is made anew. */
  readonly fqdn: string;
}

/** Null: there is nothing to scrape. */
export const scrapedUnitBag = (scraped: ScrapedUnit | null): Bag => ({
  prometheus_scrape_unit_name: scraped?.unit ?? '',
  prometheus_scrape_unit_address: scraped?.address ?? '',
  prometheus_scrape_unit_fqdn: scraped?.fqdn ?? '',
});

/** So that nothing is scraped where nothing answers. */
export const nothingScraped: Bag = { scrape_metadata: '', scrape_jobs: '', alert_rules: '' };
