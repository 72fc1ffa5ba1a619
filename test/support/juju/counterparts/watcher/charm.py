"""Who watches over an application: takes traces on the library of that interface, and reads what it offers with the one of observers."""

import json

import ops
from charmlibs.interfaces.tracing import TracingEndpointProvider
from cosl import JujuTopology, LZMABase64
from recorded import asked, record


class Watcher(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        self.tracing = TracingEndpointProvider(self)
        framework.observe(self.tracing.on.request, self._on_request)
        framework.observe(self.on.metrics_endpoint_relation_changed, self._on_metrics)
        framework.observe(self.on.grafana_dashboard_relation_changed, self._on_dashboards)

    def _on_request(self, _event):
        protocols = sorted(self.tracing.requested_protocols())
        record(self, "Requested", protocols=protocols)
        url = asked("TRACES_AT", "http://tempo:4318")
        self.tracing.publish_receivers([("otlp_http", url), ("otlp_grpc", "tempo:4317")])

    def _on_metrics(self, event):
        bag = event.relation.data[event.app]
        if "scrape_metadata" not in bag:
            return
        topology = JujuTopology.from_dict(json.loads(bag["scrape_metadata"]))
        jobs = json.loads(bag["scrape_jobs"])
        groups = json.loads(bag["alert_rules"])["groups"]
        labels = [rule["labels"] for group in groups for rule in group["rules"]]
        record(
            self,
            "Scraped",
            identifier=topology.identifier,
            targets=[target for job in jobs for config in job["static_configs"] for target in config["targets"]],
            labelled=all(topology.label_matcher_dict.items() <= of.items() for of in labels),
            alerts=len(labels),
        )

    def _on_dashboards(self, event):
        bag = event.relation.data[event.app]
        if "dashboards" not in bag:
            return
        for name, template in json.loads(bag["dashboards"])["templates"].items():
            dashboard = json.loads(LZMABase64.decompress(template["content"]))
            record(self, "Shown", name=name, of=template["charm"], uid=dashboard["uid"], panels=len(dashboard["panels"]))


ops.main(Watcher)
