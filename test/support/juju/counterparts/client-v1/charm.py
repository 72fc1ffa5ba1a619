"""A client on the second data_interfaces library."""

import ops
from dpcharmlibs.interfaces import RequirerCommonModel, ResourceProviderModel, ResourceRequirerEventHandler
from recorded import asked, record


class Client(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        requests = [RequirerCommonModel(**request) for request in asked("CLIENT_REQUESTS", [{"resource": "orders"}])]
        self.database = ResourceRequirerEventHandler(self, "database", requests, response_model=ResourceProviderModel)
        on = self.database.on
        for name in ("resource_created", "endpoints_changed", "read_only_endpoints_changed", "authentication_updated"):
            framework.observe(getattr(on, name), self._on_response)
        for name in ("status_raised", "status_resolved"):
            framework.observe(getattr(on, name), self._on_status)

    def _on_response(self, event):
        response = event.response
        fields = ("resource", "request_id", "endpoints", "read_only_endpoints", "username", "password", "uris", "read_only_uris", "tls", "tls_ca", "version")
        record(self, type(event).__name__, **{field: getattr(response, field) for field in fields})

    def _on_status(self, event):
        record(self, type(event).__name__, code=event.status.code, message=event.status.message)


ops.main(Client)
